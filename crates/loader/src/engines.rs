//! The names of containers, which only the engine that runs them knows: Docker or Podman, each behind a socket. Whoever
//! may not read it, or has none, has no names, and nothing else happens.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::privilege;

/// Longest that an engine may keep silent.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest that attaching waits for the names of those that are there.
const AT_START: Duration = Duration::from_millis(250);
/// Most names that are remembered.
const MOST: usize = 65_536;
/// Most bytes of an answer.
const LONGEST: u64 = 16 << 20;

/// An engine, which speaks HTTP over a socket. Podman's speaks what Docker's does.
#[derive(Clone, Copy)]
pub(crate) struct Engine(&'static str);

impl Engine {
    /// The engines that are there.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let sockets = ["/var/run/docker.sock", "/run/podman/podman.sock"];
        sockets.into_iter().filter(|socket| Path::new(socket).exists()).map(Self)
    }

    /// Ids and names of its containers.
    pub(crate) fn list(self) -> Vec<(String, String)> {
        self.get("/containers/json?all=true").as_deref().map(listed).unwrap_or_default()
    }

    /// The name of one.
    fn name(self, id: &str) -> Option<String> {
        inspected(&self.get(&format!("/containers/{id}/json"))?)
    }

    /// The body of an answer. HTTP/1.0: it ends with the connection, and is not in pieces.
    fn get(self, path: &str) -> Option<Vec<u8>> {
        let mut stream = UnixStream::connect(self.0).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).ok()?;
        body(&answer).map(<[u8]>::to_vec)
    }
}

/// The body of an answer that says that all is well (200).
fn body(answer: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b"\r\n\r\n";
    let status = answer.split(|byte| *byte == b' ').nth(1)?;
    let end = answer.windows(END.len()).position(|window| window == END)?;
    (answer.starts_with(b"HTTP/1.") && status == b"200").then_some(&answer[end + END.len()..])
}

fn listed(body: &[u8]) -> Vec<(String, String)> {
    let containers: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    let one = |container: &Value| Some((container["Id"].as_str()?.to_owned(), plain(container["Names"][0].as_str()?)));
    containers.iter().filter_map(one).collect()
}

fn inspected(body: &[u8]) -> Option<String> {
    let container: Value = serde_json::from_slice(body).ok()?;
    container["Name"].as_str().map(plain)
}

/// Docker puts a slash in front of names.
fn plain(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

/// Names, asked for by a thread of their own.
pub(crate) struct Names {
    known: HashMap<String, String>,
    /// Gone where there is no engine. The thread ends with it.
    questions: Option<Sender<String>>,
    answers: Receiver<Option<(String, String)>>,
}

impl Names {
    /// Starts the thread, if there is an engine to ask, and gives it a moment to name the containers that there are.
    pub(crate) fn start() -> Self {
        let engines: Vec<_> = Engine::all().collect();
        let (answer, answers) = mpsc::channel();
        let mut names = Self { known: HashMap::new(), questions: None, answers };
        if !engines.is_empty() {
            let (ask, questions) = mpsc::channel::<String>();
            let started = thread::Builder::new().name("container-names".to_owned());
            let run = move || {
                // The sockets are root's, and who may not read them without capabilities has no names.
                privilege::give_up_all();
                serve(&engines, &questions, &answer);
            };
            if started.spawn(run).is_ok() {
                names.questions = Some(ask);
                // `None` comes after the last of those that there are.
                while let Ok(Some((id, name))) = names.answers.recv_timeout(AT_START) {
                    names.known.insert(id, name);
                }
            }
        }
        names
    }

    /// The name of a container if it is known; else it is asked for, and will be among the answers if there is one.
    pub(crate) fn ask(&self, id: &str) -> Option<String> {
        let name = self.known.get(id).cloned();
        if let (None, Some(questions)) = (&name, &self.questions) {
            let _ = questions.send(id.to_owned());
        }
        name
    }

    /// The next answer, if one has come.
    pub(crate) fn answer(&mut self) -> Option<(String, String)> {
        let (id, name) = self.answers.try_recv().ok()??;
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(id.clone(), name.clone());
        Some((id, name))
    }
}

/// Answers until nobody asks any more.
fn serve(engines: &[Engine], questions: &Receiver<String>, answer: &Sender<Option<(String, String)>>) {
    for found in engines.iter().flat_map(|engine| engine.list()) {
        let _ = answer.send(Some(found));
    }
    let _ = answer.send(None);
    for id in questions {
        if let Some(name) = engines.iter().find_map(|engine| engine.name(&id)) {
            let _ = answer.send(Some((id, name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_without_their_slash() {
        let list = br#"[{"Id":"ab","Names":["/web","/other"]},{"Id":"cd","Names":["db"]},{"Id":"ef","Names":[]},7]"#;
        let pair = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(listed(list), [pair("ab", "web"), pair("cd", "db")]);
        assert!(listed(b"not found").is_empty());
        assert_eq!(inspected(br#"{"Id":"ab","Name":"/web"}"#), Some("web".to_owned()));
        assert_eq!(inspected(br#"{"message":"No such container"}"#), None);
    }

    #[test]
    fn an_answer_is_what_follows_its_header() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n[]\r\n\r\n"), Some(&b"[]\r\n\r\n"[..]));
        assert_eq!(body(b"HTTP/1.1 404 Not Found\r\n\r\n{}"), None);
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(body(b""), None);
    }
}
