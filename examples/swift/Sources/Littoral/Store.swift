// Littoral for Swift: a thin wrapper over littoral.h.
//
// Documents go in and out as Codable values or as JSON; single fields are read and written typed.
// All but Transaction may be used from any number of threads at once. What blocks says so: call it
// off the main thread.

import CLittoral
import Foundation

/// A store: documents in a directory on this device.
///
///     let store = try Store(path: "notes-data")
///     let notes = try store.collection("notes")
///     try notes.put("n1", Note(title: "Low tide"))
///     try notes.add("n1", "/tags", "sea")
public final class Store: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Opens the store in the directory `path`, or makes one there. Blocks: disk.
    ///
    /// A new store belongs to the network of a `ticket` that it will join with, and encrypts its
    /// key with `passphrase`, if it is not empty.
    public init(path: String, ticket: String = "", passphrase: String = "") throws {
        let opened = try with(path, ticket, passphrase) { path, ticket, passphrase in
            try handle { store, err in
                var options = lit_options_t()
                lit_options_init(&options)
                options.ticket = ticket
                options.passphrase = passphrase
                return lit_store_open(path, &options, store, err)
            }
        }
        pointer = opened!
    }

    deinit {
        lit_store_free(pointer)
    }

    /// Ends all links and makes durable what is not yet; what is used after that throws. Blocks: disk.
    public func close() throws {
        try call { err in lit_store_close(pointer, err) }
    }

    /// Lets go of all files, for an app that goes to the background; throws if something is in the
    /// way for so long, and the store goes on. Nothing can be read or written until `resume`.
    public func suspend(patience: Double = 2) throws {
        try call { err in lit_store_suspend(pointer, milliseconds(patience), err) }
    }

    /// Takes up again what `suspend` let go of. Blocks: disk.
    public func resume() throws {
        try call { err in lit_store_resume(pointer, err) }
    }

    /// This node's key: what others trust.
    public func id() throws -> String {
        try text { key, err in lit_store_node_id(pointer, key, err) }!
    }

    /// A collection, which begins with its first document.
    public func collection(_ name: String) throws -> Collection {
        let opened = try with(name) { name in
            try handle { collection, err in lit_collection_open(pointer, name, collection, err) }
        }
        return Collection(store: self, pointer: opened!)
    }

    /// Writes all that `body` writes, or nothing of it if it throws. Blocks: commit.
    public func write<R>(_ body: (Transaction) throws -> R) throws -> R {
        let transaction = Transaction(
            pointer: try handle { txn, err in lit_txn_begin(pointer, 30_000, txn, err) }!)
        let result = try body(transaction)
        try call { err in lit_txn_commit(transaction.pointer, err) }
        return result
    }

    /// What replicas wrote without having seen each other's writes. Blocks: disk.
    public func conflicts() throws -> [Conflict] {
        try decodeConflicts(bytes { json, err in lit_store_conflicts_json(pointer, json, err) }!)
    }

    /// Where the log is now: changes since then are what is yet to come, also after a restart.
    public func position() throws -> UInt64 {
        var position: UInt64 = 0
        try call { err in lit_store_position(pointer, &position, err) }
        return position
    }

    /// Trusts a peer's key, where there is no roster. Blocks: commit.
    public func trust(_ key: String) throws {
        try with(key) { key in _ = try call { err in lit_store_trust(pointer, key, err) } }
    }

    /// Listens for peers; gives the address taken. Who connects needs it, "#", and this node's id.
    public func listen(_ address: String) throws -> String {
        try with(address) { address in
            try text { bound, err in lit_store_listen(pointer, address, bound, err) }!
        }
    }

    /// Keeps up a link to the peer at "host:port#KEY".
    public func connect(_ address: String) throws -> Link {
        try with(address) { address in
            Link(pointer: try handle { link, err in lit_store_connect(pointer, address, link, err) }!)
        }
    }

    /// Keeps up a link to each peer that the store knows, as of those it joined by a ticket.
    public func connectKnown() throws {
        try call { err in lit_store_connect_known(pointer, err) }
    }

    /// Becomes a member of a network with a ticket. Nil if there was no answer in time. Blocks.
    public func join(_ ticket: String, name: String = "", seconds: Double = 30) throws -> Link? {
        try with(ticket, name) { ticket, name in
            try handle { link, err in
                lit_store_join(pointer, ticket, name, milliseconds(seconds), link, err)
            }.map { Link(pointer: $0) }
        }
    }

    /// Waits until this store and all peers it is linked with hold the same; false when the time is over.
    public func waitSynced(seconds: Double = 30) throws -> Bool {
        try call { err in lit_store_wait_synced(pointer, milliseconds(seconds), err) }
    }
}

extension Store {
    /// A link to a peer, which the library keeps up, also without this object; `end` ends it.
    public final class Link: @unchecked Sendable {
        let pointer: OpaquePointer

        init(pointer: OpaquePointer) {
            self.pointer = pointer
        }

        deinit {
            lit_link_free(pointer)
        }

        /// Waits until both sides hold the same; false when the time is over.
        public func waitSynced(seconds: Double = 30) throws -> Bool {
            try call { err in lit_link_wait_synced(pointer, milliseconds(seconds), err) }
        }

        /// How it stands, JSON.
        public func status() throws -> String {
            try text { json, err in lit_link_status_json(pointer, json, err) }!
        }

        /// Cuts it, or takes it up again.
        public func setEnabled(_ enabled: Bool) throws {
            try call { err in lit_link_set_enabled(pointer, enabled, err) }
        }

        /// Ends it for good.
        public func end() throws {
            try call { err in lit_link_close(pointer, err) }
        }
    }
}
