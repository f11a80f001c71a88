//! What a node says of itself on a LAN, and what it understands of others: mDNS packets.
//!
//! A node is announced as an instance of `_littoral._udp.local` whose name is a tag, 26 base32
//! characters, with an SRV record (its port), an A record (its address) and a TXT record: `v=1`
//! and `p=`, a proof.
//!
//! ```text
//! key   = BLAKE3-derive-key("littoral v1 discovery", network 16, founder of the roster 32 or nothing)
//! tag   = first 16 bytes of BLAKE3-keyed(key, "tag", node key 32, period u64 big-endian)
//! proof = first 16 bytes of BLAKE3-keyed(key, "at", tag 16, address 4, port u16 big-endian)
//! period = Unix time in units of DISCOVERY_TAG_MS
//! ```
//!
//! Invariants: who does not know the key learns from a tag nothing but that somebody runs
//! Littoral there, can't tell that two tags of different periods are one node's, and can't make a
//! proof for an address of its own. Nothing is kept of a packet; no count in one takes memory.
//!
//! Does not know: sockets, who belongs, what is done about a node that was found.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use data_encoding::BASE32_NOPAD;
use simple_dns::rdata::{A, PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};

use crate::id::NodeId;
use crate::limits::{DISCOVERY_TTL_S, MAX_DISCOVERY_PACKET_BYTES, MAX_DISCOVERY_RECORDS};
use crate::txn::NetworkId;

const SERVICE: &str = "_littoral._udp.local";
const CONTEXT: &str = "littoral v1 discovery";
const HEADER_BYTES: usize = 12;

/// Sixteen bytes that stand for a node to those who know the key.
pub(super) type Tag = [u8; 16];

/// A node, as it says of itself, not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) tag: Tag,
    pub(super) at: SocketAddrV4,
    pub(super) proof: [u8; 16],
}

/// What a packet says that is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Somebody asks who is there.
    Question,
    Claim(Claim),
}

/// What the members of one roster, or the nodes of one network without a roster, share.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Scope([u8; 32]);

impl Scope {
    pub(super) fn new(network: NetworkId, founder: Option<NodeId>) -> Scope {
        let mut shared = network.0.to_vec();
        shared.extend(founder.iter().flat_map(NodeId::as_bytes));
        Scope(blake3::derive_key(CONTEXT, &shared))
    }

    fn tag(&self, node: &NodeId, period: u64) -> Tag {
        self.short_hash(&[b"tag", node.as_bytes(), &period.to_be_bytes()])
    }

    fn proof(&self, tag: &Tag, at: SocketAddrV4) -> [u8; 16] {
        self.short_hash(&[b"at", tag, &at.ip().octets(), &at.port().to_be_bytes()])
    }

    fn short_hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        let hash = hasher.finalize();
        hash.as_bytes()[..16].try_into().expect("16 of 32 bytes")
    }

    /// What `node` says of itself in this period, of where it is.
    pub(super) fn claim(&self, node: &NodeId, period: u64, at: SocketAddrV4) -> Claim {
        let tag = self.tag(node, period);
        Claim { tag, at, proof: self.proof(&tag, at) }
    }
}

/// The nodes that are recognised, in this period and the two beside it, since clocks differ.
pub(super) struct Known {
    scope: Scope,
    tags: BTreeMap<Tag, NodeId>,
}

impl Known {
    pub(super) fn new(scope: Scope, nodes: &[NodeId], period: u64) -> Known {
        let periods = [period.saturating_sub(1), period, period.saturating_add(1)];
        let of = |node: &NodeId| periods.map(|period| (scope.tag(node, period), *node));
        let tags = nodes.iter().flat_map(of).collect();
        Known { scope, tags }
    }

    /// Who it is, if it is somebody we know, and who knows the key says that it is there.
    pub(super) fn recognise(&self, claim: &Claim) -> Option<NodeId> {
        let node = *self.tags.get(&claim.tag)?;
        let proof = blake3::Hash::from(padded(self.scope.proof(&claim.tag, claim.at)));
        (proof == padded(claim.proof)).then_some(node)
    }
}

/// For a comparison whose time does not tell how much is right.
fn padded(half: [u8; 16]) -> [u8; 32] {
    let mut whole = [0; 32];
    whole[..16].copy_from_slice(&half);
    whole
}

/// Asks who is there.
pub(super) fn question() -> Vec<u8> {
    let mut packet = Packet::new_query(0);
    let service = Name::new_unchecked(SERVICE);
    let of = (QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(service, of.0, of.1, false));
    bytes(&packet)
}

/// Says where a node is.
pub(super) fn announcement(claim: &Claim) -> Vec<u8> {
    let tag = text(&claim.tag);
    let (instance, host) = (format!("{tag}.{SERVICE}"), format!("{tag}.local"));
    let proof = format!("p={}", text(&claim.proof));
    let name = |text| Name::new_unchecked(text);
    let record = |of, data| ResourceRecord::new(name(of), CLASS::IN, DISCOVERY_TTL_S, data);
    let mut txt = TXT::new();
    for part in ["v=1", proof.as_str()] {
        txt.add_string(part).expect("shorter than 255 bytes");
    }
    let port = claim.at.port();
    let srv = SRV { priority: 0, weight: 0, port, target: name(&host) };
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers = vec![
        record(SERVICE, RData::PTR(PTR(name(&instance)))),
        record(&instance, RData::SRV(srv)).with_cache_flush(true),
        record(&instance, RData::TXT(txt)).with_cache_flush(true),
        record(&host, RData::A(A { address: claim.at.ip().to_bits() })).with_cache_flush(true),
    ];
    bytes(&packet)
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().expect("a packet of short names")
}

fn text(bytes: &[u8; 16]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn read_text(text: &[u8]) -> Option<[u8; 16]> {
    BASE32_NOPAD.decode(&text.to_ascii_uppercase()).ok()?.try_into().ok()
}

/// What a packet says, if it is one of ours.
pub(super) fn hear(packet: &[u8]) -> Option<Heard> {
    if packet.len() > MAX_DISCOVERY_PACKET_BYTES || !has_few_records(packet) {
        return None;
    }
    let packet = Packet::parse(packet).ok()?;
    let service = Name::new_unchecked(SERVICE);
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return packet.questions.iter().any(|q| q.qname == service).then_some(Heard::Question);
    }
    let records = || packet.answers.iter().chain(&packet.additional_records);
    let (instance, port) = records().find_map(|record| match &record.rdata {
        RData::SRV(srv) if record.name.is_subdomain_of(&service) => Some((&record.name, srv.port)),
        _ => None,
    })?;
    let tag = read_text(instance.get_labels().first()?.as_ref())?;
    let proof = records().find_map(|record| match &record.rdata {
        RData::TXT(txt) if record.name == *instance => proof_in(txt),
        _ => None,
    })?;
    let address = records().find_map(|record| match &record.rdata {
        RData::A(a) => Some(Ipv4Addr::from_bits(a.address)),
        _ => None,
    })?;
    Some(Heard::Claim(Claim { tag, at: SocketAddrV4::new(address, port), proof }))
}

/// The parser takes memory for as many records as the header says.
fn has_few_records(packet: &[u8]) -> bool {
    let Some(header) = packet.first_chunk::<HEADER_BYTES>() else { return false };
    let counts = header[4..].chunks_exact(2).map(|count| u16::from_be_bytes([count[0], count[1]]));
    counts.into_iter().all(|count| count <= MAX_DISCOVERY_RECORDS)
}

fn proof_in(txt: &TXT<'_>) -> Option<[u8; 16]> {
    let mut parts = txt.iter_raw();
    let proof = parts.find_map(|(key, value)| value.filter(|_| key == b"p"))?;
    read_text(proof)
}

#[cfg(test)]
mod tests {
    use rand_pcg::rand_core::Rng;

    use super::*;

    const AT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 4433);

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn scope(network: &str, founder: Option<u8>) -> Scope {
        Scope::new(NetworkId::named(network), founder.map(node))
    }

    fn heard(claim: &Claim) -> Claim {
        match hear(&announcement(claim)) {
            Some(Heard::Claim(claim)) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_recognise_each_other_and_nobody_else_does() {
        let ours = scope("default", Some(1));
        let claim = heard(&ours.claim(&node(2), 7, AT));
        assert_eq!(claim, ours.claim(&node(2), 7, AT), "it is read as it was written");
        for (period, known) in [(5, None), (6, Some(node(2))), (8, Some(node(2))), (9, None)] {
            let members = Known::new(ours.clone(), &[node(1), node(2)], period);
            assert_eq!(members.recognise(&claim), known, "in period {period}");
        }
        assert_eq!(Known::new(ours, &[node(1)], 7).recognise(&claim), None, "no member");
        for other in [scope("other", Some(1)), scope("default", None), scope("default", Some(2))] {
            assert_eq!(Known::new(other, &[node(2)], 7).recognise(&claim), None);
        }
    }

    #[test]
    fn who_does_not_know_the_key_can_put_nobody_elsewhere() {
        let ours = scope("default", Some(1));
        let members = Known::new(ours.clone(), &[node(2)], 7);
        let claim = ours.claim(&node(2), 7, AT);
        assert_eq!(members.recognise(&claim), Some(node(2)));
        let elsewhere = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 66), 4433);
        let port = SocketAddrV4::new(*AT.ip(), 4434);
        for at in [elsewhere, port] {
            assert_eq!(members.recognise(&Claim { at, ..claim.clone() }), None);
        }
        assert_eq!(members.recognise(&Claim { proof: [0; 16], ..claim }), None);
    }

    #[test]
    fn an_announcement_tells_a_stranger_neither_network_nor_node_nor_roster() {
        let ours = scope("a secret harbour", Some(1));
        let says = |period| announcement(&ours.claim(&node(2), period, AT));
        let packet = says(7);
        let secret = NetworkId::named("a secret harbour").0;
        for hidden in [&secret[..], node(1).as_bytes(), node(2).as_bytes()] {
            for form in [hidden.to_vec(), BASE32_NOPAD.encode(hidden).to_lowercase().into()] {
                assert!(!packet.windows(form.len()).any(|part| part == form));
            }
        }
        assert_ne!(
            heard(&ours.claim(&node(2), 7, AT)).tag,
            heard(&ours.claim(&node(2), 8, AT)).tag
        );
        assert!(packet.len() < 256, "{}", packet.len());
    }

    #[test]
    fn a_question_is_heard_as_one() {
        assert_eq!(hear(&question()), Some(Heard::Question));
        let mut other = Packet::new_query(0);
        let of = (QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN));
        let name = Name::new_unchecked("_ipp._tcp.local");
        other.questions.push(Question::new(name, of.0, of.1, false));
        assert_eq!(hear(&bytes(&other)), None);
    }

    #[test]
    fn garbage_is_heard_as_nothing_and_takes_no_memory() {
        let good = announcement(&scope("default", None).claim(&node(2), 7, AT));
        for len in 0..good.len() {
            assert_eq!(hear(&good[..len]), None, "{len} bytes");
        }
        for at in 0..good.len() {
            for byte in [0, 0x3f, 0xc0, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                // Whatever it says, nobody is recognised in it who is not there.
                hear(&changed);
            }
        }
        let mut chance = rand_pcg::Pcg64Mcg::new(7);
        for _ in 0..20_000 {
            let mut changed = [good.clone(), question()][chance.next_u32() as usize % 2].clone();
            for _ in 0..chance.next_u32() % 8 + 1 {
                let at = chance.next_u32() as usize % changed.len();
                changed[at] = chance.next_u32() as u8;
            }
            changed.truncate(chance.next_u32() as usize % (2 * changed.len()));
            hear(&changed);
        }
        let mut many = good.clone();
        many[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(hear(&many), None);
        assert_eq!(hear(&[0; MAX_DISCOVERY_PACKET_BYTES + 1]), None);
        // A name that points at itself.
        let mut itself = question();
        itself.truncate(HEADER_BYTES);
        itself.extend([0xc0, 12, 0, 12, 0, 1]);
        assert_eq!(hear(&itself), None);
    }
}
