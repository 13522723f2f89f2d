//! The packet of a program on socket buffers: all of it, whether it lies in one piece or not.

use aya_ebpf::{bindings::__sk_buff, programs::sk_buff::SkBuff};
use ebpflab_common::packet::Packet;

/// From where the program's kind begins: tc programs at the link header, cgroup programs at the network header.
pub struct Skb<'a>(pub &'a SkBuff);

impl Skb<'_> {
    /// What the kernel tells about it.
    #[inline(always)]
    pub fn raw(&self) -> *const __sk_buff {
        self.0.skb
    }

    /// What the network header is.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        u16::from_be(self.0.protocol() as u16)
    }
}

impl Packet for Skb<'_> {
    #[inline(always)]
    fn size(&self) -> usize {
        self.0.len() as usize
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.load(offset).ok()
    }
}
