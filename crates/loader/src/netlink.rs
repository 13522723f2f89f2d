//! One question to the kernel over netlink, one answer; and generic netlink as far as it is needed.

use std::{fmt::Debug, io};

use netlink_packet_core::{
    DefaultNla, Emitable as _, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable, Nla as _, NlasIterator, Parseable as _,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

/// Sends a request and returns the answer.
///
/// # Errors
/// What the kernel said, or what is wrong with its answer.
pub(crate) fn ask<T>(protocol: isize, request: T) -> io::Result<T>
where
    T: NetlinkSerializable + NetlinkDeserializable + Debug,
    NetlinkPayload<T>: From<T>,
{
    let mut request = NetlinkMessage::from(request);
    request.header.flags = NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let socket = Socket::new(protocol)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<T>::deserialize(&answer).map_err(io::Error::other)?.payload {
        NetlinkPayload::InnerMessage(answer) => Ok(answer),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("an answer of another kind: {other:?}"))),
    }
}

/// A message of a generic netlink family (include/uapi/linux/genetlink.h).
#[derive(Clone, Debug)]
pub(crate) struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl Generic {
    /// cmd, version and two bytes that are reserved.
    const HEADER: usize = 4;

    /// Asks a family by its name.
    ///
    /// # Errors
    /// `ENOENT` where the kernel has no such family.
    pub(crate) fn ask(family: &str, command: u8, attributes: Vec<DefaultNla>) -> io::Result<Self> {
        const GENL_ID_CTRL: u16 = 0x10;
        const CTRL_CMD_GETFAMILY: u8 = 3;
        const CTRL_ATTR_FAMILY_ID: u16 = 1;
        const CTRL_ATTR_FAMILY_NAME: u16 = 2;
        let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, [family.as_bytes(), b"\0"].concat());
        let find = Self { family: GENL_ID_CTRL, command: CTRL_CMD_GETFAMILY, attributes: vec![name] };
        let found = ask(NETLINK_GENERIC, find)?;
        let id = found.attribute(CTRL_ATTR_FAMILY_ID).and_then(|id| id.first_chunk().copied());
        let family = u16::from_ne_bytes(id.ok_or_else(|| io::Error::other("a family without a number"))?);
        ask(NETLINK_GENERIC, Self { family, command, attributes })
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, kind: u16) -> Option<Vec<u8>> {
        let attribute = self.attributes.iter().find(|attribute| attribute.kind() == kind)?;
        let mut value = vec![0; attribute.value_len()];
        attribute.emit_value(&mut value);
        Some(value)
    }
}

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        Self::HEADER + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..Self::HEADER].copy_from_slice(&[self.command, 1, 0, 0]);
        self.attributes.as_slice().emit(&mut buffer[Self::HEADER..]);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = netlink_packet_core::DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        let (head, rest) =
            payload.split_at_checked(Self::HEADER).ok_or_else(|| Self::Error::from("it is too short"))?;
        let attributes = NlasIterator::new(rest).map(|nla| DefaultNla::parse(&nla?)).collect::<Result<_, _>>()?;
        Ok(Self { family: header.message_type, command: head[0], attributes })
    }
}
