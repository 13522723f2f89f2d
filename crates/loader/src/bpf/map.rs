//! Maps of any kind by their descriptors: entries as bytes, and as what their types say.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use aya_obj::generated::{bpf_map_info, bpf_map_type::*};

use super::sys;
use crate::{
    btf::{self, Btf, Data},
    error::{Error, Result},
};

/// What the keys and values of a map are.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    pub(crate) btf: Arc<Btf<'static>>,
    /// 0 where it is not told.
    pub(crate) key: u32,
    /// 0 where it is not told.
    pub(crate) value: u32,
}

/// A map.
#[derive(Debug)]
pub struct TypedMap {
    fd: OwnedFd,
    name: String,
    kind: u32,
    key_bytes: usize,
    value_bytes: usize,
    max_entries: u32,
    /// Of one with a value on each CPU: how many there may ever be.
    cpus: Option<usize>,
    types: Option<Types>,
}

/// An entry of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its key.
    pub key: Data,
    /// Its value, or that of each CPU that there may ever be.
    pub values: Vec<Data>,
}

impl Entry {
    /// Its value; of several CPUs what they make together.
    pub fn value(&self) -> Data {
        match self.values.as_slice() {
            [value] => value.clone(),
            values => btf::sum(values),
        }
    }
}

impl TypedMap {
    /// Of a descriptor; its types are given, or those that the kernel has.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub(crate) fn new(fd: OwnedFd, name: String, types: Option<Types>) -> Result<Self> {
        let mut about = sys::blank::<bpf_map_info>();
        sys::info(fd.as_fd(), &mut about).map_err(Error::os(format!("ask about map {name}")))?;
        let types = types.or_else(|| told(&about));
        let cpus = match is_per_cpu(about.type_) {
            true => Some(aya::util::nr_cpus().map_err(|(path, error)| Error::os(format!("read {path}"))(error))?),
            false => None,
        };
        Ok(Self {
            fd,
            name,
            kind: about.type_,
            key_bytes: about.key_size as usize,
            value_bytes: about.value_size as usize,
            max_entries: about.max_entries,
            cpus,
            types,
        })
    }

    /// `enum bpf_map_type`.
    pub fn kind(&self) -> String {
        crate::inspect::map_kind(self.kind)
    }

    /// Whether each CPU has a value of its own.
    pub fn is_per_cpu(&self) -> bool {
        self.cpus.is_some()
    }

    /// Most entries.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// All entries, in batches where the kernel has them for such maps.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the kernel does not let them be read, [`Error::Os`].
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let value_bytes = self.stored_bytes();
        let entries = match sys::entries(self.fd.as_fd(), self.key_bytes, value_bytes) {
            Ok(entries) => entries,
            Err(error) if super::no_batches(&error) => self.one_by_one().map_err(|error| self.unreadable(error))?,
            Err(error) => return Err(self.unreadable(error)),
        };
        Ok(entries.iter().map(|(key, value)| self.entry(key, value)).collect())
    }

    fn one_by_one(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (mut entries, mut before) = (Vec::new(), None::<Vec<u8>>);
        // A map that is written to may begin again and again; then what came first is what there was.
        while entries.len() <= self.max_entries as usize {
            let mut key = vec![0; self.key_bytes];
            if !sys::next_key(self.fd.as_fd(), before.as_deref(), &mut key)? {
                break;
            }
            // It may be gone by now, or be a slot that is empty.
            if let Some(value) = sys::lookup(self.fd.as_fd(), &key, self.stored_bytes())? {
                entries.push((key.clone(), value));
            }
            before = Some(key);
        }
        Ok(entries)
    }

    /// The entry of a key, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what is no key, [`Error::Os`].
    pub fn get(&self, key: &Data) -> Result<Option<Entry>> {
        let key = self.key_of(key)?;
        let value = sys::lookup(self.fd.as_fd(), &key, self.stored_bytes()).map_err(|error| self.unreadable(error))?;
        Ok(value.map(|value| self.entry(&key, &value)))
    }

    /// Writes an entry; of a map with a value on each CPU one value for all, or a list with one for each.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what is no key or no value, [`Error::Os`].
    pub fn set(&self, key: &Data, value: &Data) -> Result<()> {
        let key = self.key_of(key)?;
        let stored = match (self.cpus, value) {
            (None, value) => self.value_of(value)?,
            (Some(cpus), Data::List(values)) if values.len() == cpus && !self.is_array() => {
                values.iter().map(|value| self.padded(value)).collect::<Result<Vec<_>>>()?.concat()
            }
            (Some(cpus), value) => self.padded(value)?.repeat(cpus),
        };
        sys::update(self.fd.as_fd(), &key, &stored).map_err(Error::os(format!("write to map {}", self.name)))
    }

    /// Takes an entry out; whether it was there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what is no key, [`Error::Os`].
    pub fn remove(&self, key: &Data) -> Result<bool> {
        let key = self.key_of(key)?;
        sys::delete(self.fd.as_fd(), &key).map_err(Error::os(format!("remove from map {}", self.name)))
    }

    /// Bytes of a value as the kernel hands it over.
    fn stored_bytes(&self) -> usize {
        self.cpus.map_or(self.value_bytes, |cpus| self.value_bytes.next_multiple_of(8) * cpus)
    }

    fn entry(&self, key: &[u8], value: &[u8]) -> Entry {
        let values = match self.cpus {
            None => vec![self.read_value(value)],
            Some(_) => {
                let chunks = value.chunks_exact(self.value_bytes.next_multiple_of(8).max(8));
                chunks.map(|chunk| self.read_value(&chunk[..self.value_bytes])).collect()
            }
        };
        Entry { key: self.read_key(key), values }
    }

    fn read_key(&self, bytes: &[u8]) -> Data {
        let typed = self.types.as_ref().filter(|types| types.key != 0);
        let known = typed.and_then(|types| btf::decode(&types.btf, types.key, bytes));
        known.or_else(|| index(self.kind, bytes)).unwrap_or_else(|| Data::Bytes(bytes.to_vec()))
    }

    fn read_value(&self, bytes: &[u8]) -> Data {
        let typed = self.types.as_ref().filter(|types| types.value != 0);
        let known = typed.and_then(|types| btf::decode(&types.btf, types.value, bytes));
        known.or_else(|| object_id(self.kind, bytes)).unwrap_or_else(|| Data::Bytes(bytes.to_vec()))
    }

    fn key_of(&self, key: &Data) -> Result<Vec<u8>> {
        let typed = self.types.as_ref().filter(|types| types.key != 0);
        let wrong = |error: String| Error::InvalidArgument(format!("a key of map {}: {error}", self.name));
        match typed.filter(|types| types.btf.size(types.key) == Some(self.key_bytes)) {
            Some(types) => btf::encode(&types.btf, types.key, key).map_err(wrong),
            None => raw(key, self.key_bytes, index(self.kind, &[0; 4]).is_some()).map_err(wrong),
        }
    }

    fn value_of(&self, value: &Data) -> Result<Vec<u8>> {
        let typed = self.types.as_ref().filter(|types| types.value != 0);
        let wrong = |error: String| Error::InvalidArgument(format!("a value of map {}: {error}", self.name));
        match typed.filter(|types| types.btf.size(types.value) == Some(self.value_bytes)) {
            Some(types) => btf::encode(&types.btf, types.value, value).map_err(wrong),
            None => raw(value, self.value_bytes, false).map_err(wrong),
        }
    }

    fn padded(&self, value: &Data) -> Result<Vec<u8>> {
        let mut bytes = self.value_of(value)?;
        bytes.resize(self.value_bytes.next_multiple_of(8), 0);
        Ok(bytes)
    }

    /// Whether values are lists, so that a list of values would not be known from one.
    fn is_array(&self) -> bool {
        let value = self.types.as_ref().and_then(|types| types.btf.bare(types.value));
        matches!(value, Some((_, btf::Shape::Array { .. })))
    }

    fn unreadable(&self, error: io::Error) -> Error {
        const ENOTSUPP: i32 = 524;
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP) => Error::NotSupported {
                feature: format!("reading the entries of map {}", self.name),
                needs: "a map whose entries the kernel lets be read".to_owned(),
                reason: format!("it is one of kind {}", self.kind()),
            },
            _ => Error::os(format!("read map {}", self.name))(error),
        }
    }
}

/// What the kernel was told about a map when it was made.
fn told(about: &bpf_map_info) -> Option<Types> {
    if about.btf_id == 0 {
        return None;
    }
    let fd = sys::open(sys::BTFS, about.btf_id).ok().flatten()?;
    let btf = Btf::parse(sys::btf(fd.as_fd()).ok()?)?;
    Some(Types { btf: Arc::new(btf), key: about.btf_key_type_id, value: about.btf_value_type_id })
}

fn is_per_cpu(kind: u32) -> bool {
    [
        BPF_MAP_TYPE_PERCPU_HASH,
        BPF_MAP_TYPE_PERCPU_ARRAY,
        BPF_MAP_TYPE_LRU_PERCPU_HASH,
        BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED,
    ]
    .into_iter()
    .any(|each| each as u32 == kind)
}

/// The key of an array, whose keys are indices whatever it is told about types.
fn index(kind: u32, bytes: &[u8]) -> Option<Data> {
    let is_array = [
        BPF_MAP_TYPE_ARRAY,
        BPF_MAP_TYPE_PERCPU_ARRAY,
        BPF_MAP_TYPE_PROG_ARRAY,
        BPF_MAP_TYPE_PERF_EVENT_ARRAY,
        BPF_MAP_TYPE_CGROUP_ARRAY,
        BPF_MAP_TYPE_ARRAY_OF_MAPS,
        BPF_MAP_TYPE_DEVMAP,
        BPF_MAP_TYPE_CPUMAP,
        BPF_MAP_TYPE_XSKMAP,
        BPF_MAP_TYPE_SOCKMAP,
    ];
    number(bytes).filter(|_| is_array.into_iter().any(|each| each as u32 == kind))
}

/// The value of a map that holds programs or maps: their ids.
fn object_id(kind: u32, bytes: &[u8]) -> Option<Data> {
    let holds_objects = [BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS];
    number(bytes).filter(|_| holds_objects.into_iter().any(|each| each as u32 == kind))
}

fn number(bytes: &[u8]) -> Option<Data> {
    bytes.try_into().ok().map(|bytes| Data::Unsigned(u32::from_ne_bytes(bytes).into()))
}

/// Memory of unknown type; an index may be given as a number.
fn raw(value: &Data, len: usize, is_index: bool) -> Result<Vec<u8>, String> {
    match value {
        Data::Bytes(bytes) if bytes.len() == len => Ok(bytes.clone()),
        Data::Bytes(bytes) => Err(format!("it has {len} bytes, not {}", bytes.len())),
        Data::Signed(number) if is_index => match u32::try_from(*number) {
            Ok(number) => Ok(number.to_ne_bytes().to_vec()),
            Err(_) => Err(format!("{number} is no index")),
        },
        _ => Err(format!("the object does not tell its type, so it is given as {len} bytes")),
    }
}

impl std::os::fd::AsFd for TypedMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
