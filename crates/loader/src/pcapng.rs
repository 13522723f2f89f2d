//! Packet files (pcapng, draft-ietf-opsawg-pcapng): a section with one interface, and packets with comments.

/// `LINKTYPE_ETHERNET`.
const LINKTYPE_ETHERNET: u16 = 1;

// Block types.
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;

// Options.
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;

/// A packet to write.
pub struct Packet<'a> {
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// Bytes that the frame had.
    pub size: u32,
    /// The first of them.
    pub bytes: &'a [u8],
    /// What to say about it.
    pub comment: &'a str,
}

/// Appends the beginning of a file: the section and its interface.
pub fn write_header(out: &mut Vec<u8>, iface: &str, snap_len: u32) {
    const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
    /// It is not known how long the section will be.
    const UNKNOWN_LEN: u64 = u64::MAX;
    /// 10^-9.
    const NANOSECONDS: u8 = 9;
    let mut section = BYTE_ORDER_MAGIC.to_ne_bytes().to_vec();
    // Version 1.0.
    section.extend(1_u16.to_ne_bytes());
    section.extend(0_u16.to_ne_bytes());
    section.extend(UNKNOWN_LEN.to_ne_bytes());
    write_options(&mut section, &[(SHB_USERAPPL, b"ebpflab xdp")]);
    write_block(out, SECTION_HEADER, &section);

    let mut interface = LINKTYPE_ETHERNET.to_ne_bytes().to_vec();
    interface.extend(0_u16.to_ne_bytes());
    interface.extend(snap_len.to_ne_bytes());
    write_options(&mut interface, &[(IF_NAME, iface.as_bytes()), (IF_TSRESOL, &[NANOSECONDS])]);
    write_block(out, INTERFACE_DESCRIPTION, &interface);
}

/// Appends a packet.
pub fn write_packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    const FIRST_INTERFACE: u32 = 0;
    let mut body = FIRST_INTERFACE.to_ne_bytes().to_vec();
    body.extend(((packet.time >> 32) as u32).to_ne_bytes());
    body.extend((packet.time as u32).to_ne_bytes());
    body.extend((packet.bytes.len() as u32).to_ne_bytes());
    body.extend(packet.size.to_ne_bytes());
    write_padded(&mut body, packet.bytes);
    write_options(&mut body, &[(OPT_COMMENT, packet.comment.as_bytes())]);
    write_block(out, ENHANCED_PACKET, &body);
}

/// A block has its length at both ends.
fn write_block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = (body.len() as u32 + 12).to_ne_bytes();
    out.extend(kind.to_ne_bytes());
    out.extend(len);
    out.extend(body);
    out.extend(len);
}

fn write_options(out: &mut Vec<u8>, options: &[(u16, &[u8])]) {
    for (code, value) in options {
        out.extend(code.to_ne_bytes());
        out.extend((value.len() as u16).to_ne_bytes());
        write_padded(out, value);
    }
    // opt_endofopt.
    out.extend([0; 4]);
}

/// Everything starts at a multiple of four bytes.
fn write_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_by_their_lengths() {
        let mut file = Vec::new();
        write_header(&mut file, "eth0", 100);
        for len in 0..9 {
            let packet = Packet { time: 1, size: 1500, bytes: &[7; 9][..len], comment: "allow ::1/128" };
            write_packet(&mut file, &packet);
        }
        let (mut at, mut kinds) = (0, Vec::new());
        let word = |at: usize| u32::from_ne_bytes(*file[at..].first_chunk().expect("four bytes"));
        while at < file.len() {
            let len = word(at + 4) as usize;
            assert_eq!((len % 4, word(at + len - 4) as usize), (0, len));
            kinds.push(word(at));
            at += len;
        }
        assert_eq!(kinds, [&[SECTION_HEADER, INTERFACE_DESCRIPTION][..], &[ENHANCED_PACKET; 9]].concat());
    }
}
