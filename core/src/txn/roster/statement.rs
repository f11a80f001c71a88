//! What a roster is made of: statements, each signed by the member that makes it.
//!
//! | part | bytes |
//! | --- | --- |
//! | version | 1: `01` |
//! | kind | 1: `00` grant, `01` vouch, `02` succession |
//! | founder | 32: key of the node that founded the roster |
//! | issuer | 32: key of the node that says it |
//! | signature | 64, at the end |
//!
//! | kind | goes on with |
//! | --- | --- |
//! | grant | time, 8, big-endian: Unix milliseconds; count of grants before, each 32: its hash, sorted; key of the member, 32; length and name; right everywhere, 1; count of collections, each: length and name, right, 1; sorted |
//! | vouch | length and collection; origin, 36; seq, 8, big-endian; 16 of that transaction's hash |
//! | succession | time, 8, big-endian; count of grants before, each 32: its hash, sorted; key of the heir, 32; signature of the heir, 64 |
//!
//! An heir signs `BLAKE3-derive-key("littoral v1 heir", network ‖ the bytes before its signature)`,
//! so that nobody can name a key that is not its own.
//!
//! What is signed is `BLAKE3-derive-key("littoral v1 roster", network ‖ bytes without the
//! signature)`, which also names a grant. Decoding checks all that needs no other statement.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::id::{Hash, Head, NodeId, Origin, ShortHash, check_collection};
use crate::limits::{
    MAX_GRANT_COLLECTIONS, MAX_GRANTS, MAX_MEMBER_NAME_BYTES, MAX_SEQ, MAX_STATEMENT_BYTES,
};
use crate::txn::sign::{
    SIGNATURE_BYTES, check_heir, check_statement, sign_heir, sign_statement, statement_hash,
};
use crate::txn::{NetworkId, NodeKey};
use crate::wire::{Reader, put_bytes, put_uint};

const VERSION: u8 = 1;
const GRANT: u8 = 0;
const VOUCH: u8 = 1;
const SUCCESSION: u8 = 2;
/// What stands for every collection that is not named, in words.
const EVERYWHERE: &str = "*";

/// What a member may do in a collection. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Right {
    /// Nothing; it does not hear that the collection exists.
    #[default]
    None,
    /// To hold it and to relay what others wrote.
    Read,
    /// To write.
    Write,
    /// To say who may do what in it.
    Admin,
}

impl Right {
    const ALL: [Right; 4] = [Right::None, Right::Read, Right::Write, Right::Admin];

    /// Its word: none, read, write, admin.
    pub fn word(self) -> &'static str {
        ["none", "read", "write", "admin"][self as usize]
    }
}

impl FromStr for Right {
    type Err = Error;

    fn from_str(word: &str) -> Result<Right> {
        let found = Right::ALL.into_iter().find(|right| right.word() == word);
        found.ok_or_else(|| {
            Error::invalid(format!("'{word}' is no right; there are none, read, write and admin"))
        })
    }
}

/// The rights of a member: in some collections by name, and in all others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// In every collection that is not named.
    pub elsewhere: Right,
    /// In these.
    pub named: BTreeMap<String, Right>,
}

impl Rights {
    /// The same right in every collection.
    pub fn everywhere(right: Right) -> Rights {
        Rights { elsewhere: right, named: BTreeMap::new() }
    }

    /// A right in these collections, and none elsewhere.
    pub fn only<I: IntoIterator<Item = impl Into<String>>>(right: Right, names: I) -> Rights {
        let named = names.into_iter().map(|name| (name.into(), right)).collect();
        Rights { elsewhere: Right::None, named }
    }

    /// Rights as words: a collection's name, or `*` for all that are not named, and a right's
    /// word each. Who is not named at all may do nothing.
    ///
    /// Errors: [`ErrorKind::InvalidInput`] for a word that is no right, or a name that can be no
    /// collection's.
    pub fn from_words<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Rights> {
        let mut rights = Rights::default();
        for (name, word) in words {
            rights.set(Some(name).filter(|name| *name != EVERYWHERE), word.parse()?)?;
        }
        Ok(rights)
    }

    /// The same words: `*` first, if it is any.
    pub fn words(&self) -> impl Iterator<Item = (&str, &str)> {
        let elsewhere = Some((EVERYWHERE, self.elsewhere.word()));
        let elsewhere = elsewhere.filter(|_| self.elsewhere > Right::None || self.named.is_empty());
        let named = self.named.iter().map(|(name, right)| (name.as_str(), right.word()));
        elsewhere.into_iter().chain(named)
    }

    /// Sets the right in one collection; `None` is in all that are not named.
    pub fn set(&mut self, collection: Option<&str>, right: Right) -> Result<()> {
        match collection {
            None => self.elsewhere = right,
            Some(name) => {
                check_collection(name)?;
                self.named.insert(name.to_owned(), right);
            }
        }
        Ok(())
    }

    /// The right in a collection; `None` asks for those that nobody names.
    pub fn of(&self, collection: Option<&str>) -> Right {
        collection.and_then(|name| self.named.get(name)).copied().unwrap_or(self.elsewhere)
    }

    /// In each collection the higher of two rights.
    pub fn or_higher(&self, other: &Rights) -> Rights {
        let elsewhere = self.elsewhere.max(other.elsewhere);
        let names = self.named.keys().chain(other.named.keys());
        let higher = |name: &String| (name.clone(), self.of(Some(name)).max(other.of(Some(name))));
        let mut named: BTreeMap<String, Right> = names.map(higher).collect();
        named.retain(|_, right| *right != elsewhere);
        Rights { elsewhere, named }
    }
}

/// Says what a member may do from now on. It replaces what the grants before it say of the same
/// member, in all collections in which its issuer is an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The newest grants that the issuer knew; by them, all that they follow.
    pub after: BTreeSet<Hash>,
    /// When, by the issuer's clock, in Unix milliseconds: for people.
    pub time_ms: u64,
    /// Who is spoken of.
    pub member: NodeId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
}

/// Says that a writer holds these transactions of an origin whose author may not write any more, or
/// has met what a writer built on them, so that everyone takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouch {
    /// Of which collection.
    pub collection: String,
    /// Whose.
    pub origin: Origin,
    /// Up to which.
    pub head: Head,
}

/// Says that another key stands for a member from now on, by the key that did so until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The newest grants that the issuer knew; by them, all that they follow.
    pub after: BTreeSet<Hash>,
    /// When, by the issuer's clock, in Unix milliseconds: for people.
    pub time_ms: u64,
    /// The new key.
    pub heir: NodeId,
    /// Its signature.
    pub consent: [u8; SIGNATURE_BYTES],
}

impl Succession {
    /// With the heir's signature; the issuer signs the statement.
    pub fn new(
        after: BTreeSet<Hash>,
        time_ms: u64,
        scope: RosterScope,
        issuer: NodeId,
        heir: &NodeKey,
    ) -> Succession {
        let consent = [0; SIGNATURE_BYTES];
        let mut succession = Succession { after, time_ms, heir: heir.id(), consent };
        let bytes = encode(&Says::Succession(succession.clone()), scope, issuer);
        let agreed = &bytes[..bytes.len() - SIGNATURE_BYTES];
        succession.consent = sign_heir(agreed, scope.network, heir);
        succession
    }

    fn check(&self, body: &[u8], scope: RosterScope) -> Result<()> {
        let agreed = &body[..body.len() - SIGNATURE_BYTES];
        check_heir(agreed, scope.network, &self.heir, &self.consent)
    }
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// What a member may do.
    Grant(Grant),
    /// What is held of one that may not write any more.
    Vouch(Vouch),
    /// Which key stands for a member.
    Succession(Succession),
}

/// A statement with the bytes that are kept and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who says it.
    pub issuer: NodeId,
    /// What.
    pub says: Says,
    /// Its name.
    pub hash: Hash,
    /// Its bytes, signature at the end.
    pub bytes: Vec<u8>,
}

/// Where a statement holds: in one roster of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterScope {
    /// The network.
    pub network: NetworkId,
    /// Who founded the roster.
    pub founder: NodeId,
}

impl Statement {
    /// Says something with a node's key. What no reader would accept is refused.
    pub fn sign(says: Says, scope: RosterScope, key: &NodeKey) -> Result<Statement> {
        let issuer = key.id();
        let mut bytes = encode(&says, scope, issuer);
        let decoded = decode(&bytes, scope)
            .map_err(|err| Error::new(ErrorKind::InvalidInput, err.message().to_owned()))?;
        debug_assert_eq!(decoded, (issuer, says.clone()));
        if let Says::Succession(succession) = &says {
            succession.check(&bytes, scope)?;
        }
        let (hash, signature) = sign_statement(&bytes, scope.network, key);
        bytes.extend_from_slice(&signature);
        Ok(Statement { issuer, says, hash, bytes })
    }

    /// Reads a statement that came from outside, and checks its signature and its form.
    pub fn verify(bytes: Vec<u8>, scope: RosterScope) -> Result<Statement> {
        let split = bytes.split_last_chunk::<SIGNATURE_BYTES>();
        let (body, signature) = split.ok_or_else(|| bad("it ends too early"))?;
        let (issuer, says) = decode(body, scope)?;
        let hash = check_statement(body, scope.network, &issuer, signature)?;
        if let Says::Succession(succession) = &says {
            succession.check(body, scope)?;
        }
        Ok(Statement { issuer, says, hash, bytes })
    }

    /// Reads a statement that was checked before it was kept.
    pub fn trusted(bytes: Vec<u8>, scope: RosterScope) -> Result<Statement> {
        let split = bytes.split_last_chunk::<SIGNATURE_BYTES>();
        let (body, _) = split.ok_or_else(|| bad("it ends too early"))?;
        let (issuer, says) = decode(body, scope)?;
        Ok(Statement { issuer, says, hash: statement_hash(body, scope.network), bytes })
    }
}

fn encode(says: &Says, scope: RosterScope, issuer: NodeId) -> Vec<u8> {
    let kind = match says {
        Says::Grant(_) => GRANT,
        Says::Vouch(_) => VOUCH,
        Says::Succession(_) => SUCCESSION,
    };
    let mut out = vec![VERSION, kind];
    out.extend_from_slice(scope.founder.as_bytes());
    out.extend_from_slice(issuer.as_bytes());
    match says {
        Says::Grant(grant) => encode_grant(grant, &mut out),
        Says::Vouch(vouch) => {
            put_bytes(&mut out, vouch.collection.as_bytes());
            out.extend_from_slice(&vouch.origin.to_bytes());
            out.extend_from_slice(&vouch.head.seq.to_be_bytes());
            out.extend_from_slice(&vouch.head.hash.0);
        }
        Says::Succession(succession) => {
            put_moment(succession.time_ms, &succession.after, &mut out);
            out.extend_from_slice(succession.heir.as_bytes());
            out.extend_from_slice(&succession.consent);
        }
    }
    out
}

fn put_moment(time_ms: u64, after: &BTreeSet<Hash>, out: &mut Vec<u8>) {
    out.extend_from_slice(&time_ms.to_be_bytes());
    put_uint(out, after.len() as u64);
    after.iter().for_each(|hash| out.extend_from_slice(&hash.0));
}

fn encode_grant(grant: &Grant, out: &mut Vec<u8>) {
    put_moment(grant.time_ms, &grant.after, out);
    out.extend_from_slice(grant.member.as_bytes());
    put_bytes(out, grant.name.as_bytes());
    put_rights(out, &grant.rights);
}

/// Rights, as a grant has them.
pub(crate) fn put_rights(out: &mut Vec<u8>, rights: &Rights) {
    out.push(rights.elsewhere as u8);
    put_uint(out, rights.named.len() as u64);
    for (name, right) in &rights.named {
        put_bytes(out, name.as_bytes());
        out.push(*right as u8);
    }
}

fn decode(body: &[u8], scope: RosterScope) -> Result<(NodeId, Says)> {
    if body.len() + SIGNATURE_BYTES > MAX_STATEMENT_BYTES {
        return Err(bad("it is too long"));
    }
    let mut reader = Reader::new(body, "roster statement");
    let decoded = read(&mut reader, scope).and_then(|said| reader.end().map(|()| said));
    decoded.map_err(|err| match err.kind() {
        ErrorKind::FormatTooNew => err,
        _ => bad(err.message()),
    })
}

fn read(reader: &mut Reader<'_>, scope: RosterScope) -> Result<(NodeId, Says)> {
    let version = reader.u8()?;
    if version != VERSION {
        return Err(Error::new(
            ErrorKind::FormatTooNew,
            format!(
                "a roster statement has version {version}, this build knows {VERSION}: upgrade littoral"
            ),
        ));
    }
    let kind = reader.u8()?;
    if NodeId::from_bytes(reader.array()?) != scope.founder {
        return Err(reader.bad("it is of another roster"));
    }
    let issuer = NodeId::from_bytes(reader.array()?);
    let says = match kind {
        GRANT => Says::Grant(read_grant(reader)?),
        VOUCH => Says::Vouch(read_vouch(reader)?),
        SUCCESSION => Says::Succession(read_succession(reader)?),
        _ => {
            let what = format!("a roster statement has kind {kind}: upgrade littoral");
            return Err(Error::new(ErrorKind::FormatTooNew, what));
        }
    };
    Ok((issuer, says))
}

/// The reverse of [`put_moment`].
fn read_moment(reader: &mut Reader<'_>) -> Result<(u64, BTreeSet<Hash>)> {
    let time_ms = u64::from_be_bytes(reader.array()?);
    let count = reader.count()?;
    if count > MAX_GRANTS {
        return Err(reader.bad("too many grants before it"));
    }
    let mut after = BTreeSet::new();
    for _ in 0..count {
        let hash = Hash(reader.array()?);
        if after.last() >= Some(&hash) {
            return Err(reader.bad("grants before it that are not sorted"));
        }
        after.insert(hash);
    }
    Ok((time_ms, after))
}

fn read_succession(reader: &mut Reader<'_>) -> Result<Succession> {
    let (time_ms, after) = read_moment(reader)?;
    let heir = NodeId::from_bytes(reader.array()?);
    Ok(Succession { after, time_ms, heir, consent: reader.array()? })
}

fn read_grant(reader: &mut Reader<'_>) -> Result<Grant> {
    let (time_ms, after) = read_moment(reader)?;
    let member = NodeId::from_bytes(reader.array()?);
    let name = reader.str()?.to_owned();
    if name.len() > MAX_MEMBER_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(reader.bad("a name that is too long or not of printable characters"));
    }
    Ok(Grant { after, time_ms, member, name, rights: read_rights(reader)? })
}

/// The reverse of [`put_rights`].
pub(crate) fn read_rights(reader: &mut Reader<'_>) -> Result<Rights> {
    let elsewhere = read_right(reader)?;
    let count = reader.count()?;
    if count > MAX_GRANT_COLLECTIONS {
        return Err(reader.bad("too many collections"));
    }
    let mut named: BTreeMap<String, Right> = BTreeMap::new();
    for _ in 0..count {
        let name = reader.str()?.to_owned();
        check_collection(&name)?;
        if named.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(reader.bad("collections that are not sorted"));
        }
        named.insert(name, read_right(reader)?);
    }
    Ok(Rights { elsewhere, named })
}

fn read_right(reader: &mut Reader<'_>) -> Result<Right> {
    let right = Right::ALL.get(usize::from(reader.u8()?)).copied();
    right.ok_or_else(|| reader.bad("unknown right"))
}

fn read_vouch(reader: &mut Reader<'_>) -> Result<Vouch> {
    let collection = reader.str()?.to_owned();
    check_collection(&collection)?;
    let origin = Origin::from_bytes(&reader.array()?);
    let seq = u64::from_be_bytes(reader.array()?);
    if seq == 0 || seq > MAX_SEQ {
        return Err(reader.bad("a number that no transaction has"));
    }
    let head = Head { seq, hash: ShortHash(reader.array()?) };
    Ok(Vouch { collection, origin, head })
}

fn bad(why: &str) -> Error {
    Error::bad_txn(format!("a statement of the roster can't be accepted: {why}"))
}
