import CLittoral
import Foundation

/// A set of a document, for Codable values: `var tags = LittoralSet<String>()`. Replicas add to it at
/// the same time and lose nothing.
public struct LittoralSet<Element: Codable & Hashable>: Codable, Equatable {
    public var elements: Set<Element>

    public init(_ elements: Set<Element> = []) {
        self.elements = elements
    }

    private enum CodingKeys: String, CodingKey {
        case elements = "$set"
    }
}

/// A counter of a document. Increments of all replicas add up.
public struct LittoralCounter: Codable, Equatable {
    public var value: Int64

    public init(_ value: Int64 = 0) {
        self.value = value
    }

    private enum CodingKeys: String, CodingKey {
        case value = "$counter"
    }
}

/// A field that replicas wrote without having seen each other's writes; reads show the first.
public struct Conflict {
    public let collection: String
    public let id: String
    public let path: String
    public let candidates: [Candidate]

    public struct Candidate {
        /// JSON.
        public let value: String
        /// A node's key.
        public let author: String
    }
}

/// A document as it was read, and what its reader had seen.
public struct Document<Content> {
    public let id: String
    public var content: Content
    let version: [UInt8]
}

// Inside of Store, since Swift has a Collection of its own, and SwiftUI a Transaction and a Link.
extension Store {
    /// Documents by id. A function that takes away tells whether there was anything to take.
    public final class Collection: @unchecked Sendable {
        let pointer: OpaquePointer
        /// Works for as long as the store does.
        private let store: Store

        init(store: Store, pointer: OpaquePointer) {
            self.store = store
            self.pointer = pointer
        }

        deinit {
            lit_collection_free(pointer)
        }

        /// How many documents there are.
        public func count() throws -> UInt64 {
            var count: UInt64 = 0
            try call { err in lit_collection_len(pointer, &count, err) }
            return count
        }

        /// Reads a document as JSON. Blocks: disk, as all reads.
        public func json(_ id: String) throws -> String? {
            try with(id) { id in try text { json, err in lit_collection_get_json(pointer, id, json, err) } }
        }

        /// Reads a document.
        public func get<Content: Decodable>(_ id: String, as type: Content.Type) throws -> Document<Content>? {
            let opened = try with(id) { id in
                try handle { doc, err in lit_collection_get(pointer, id, doc, err) }
            }
            guard let doc = opened else { return nil }
            defer { lit_doc_free(doc) }
            let json = try bytes { json, err in lit_doc_json(doc, json, err) }!
            let version = try bytes { version, err in lit_doc_version(doc, version, err) }!
            let content = try JSONDecoder().decode(type, from: Data(json))
            return Document(id: id, content: content, version: version)
        }

        /// Replaces a document, or begins one; written is the difference. Blocks: commit, as all writes.
        public func put<Content: Encodable>(_ id: String, _ content: Content) throws {
            try put(id, json: encode(content))
        }

        public func put(_ id: String, json: String) throws {
            try with(id, json) { id, json in
                _ = try call { err in lit_collection_put_json(pointer, id, json, err) }
            }
        }

        /// Puts back what was read and changed since: what came in between stays.
        public func put<Content: Encodable>(_ document: Document<Content>) throws {
            try with(document.id, encode(document.content)) { id, json in
                try document.version.withUnsafeBufferPointer { version in
                    let seen = lit_slice_t(ptr: version.baseAddress, len: version.count)
                    _ = try call { err in lit_collection_put_json_version(pointer, id, json, seen, err) }
                }
            }
        }

        /// Writes the fields given, at every depth, and leaves the others alone.
        public func merge(_ id: String, json: String) throws {
            try with(id, json) { id, json in
                _ = try call { err in lit_collection_merge_json(pointer, id, json, err) }
            }
        }

        public func delete(_ id: String) throws -> Bool {
            try with(id) { id in try call { err in lit_collection_delete(pointer, id, err) } }
        }

        // Single fields. Paths are JSON Pointers: "/address/city".

        public func string(_ id: String, _ path: String) throws -> String? {
            try with(id, path) { id, path in
                try text { value, err in lit_collection_get_text(pointer, id, path, value, err) }
            }
        }

        /// An integer, or the sum of a counter.
        public func int(_ id: String, _ path: String) throws -> Int64? {
            var value: Int64 = 0
            let there = try with(id, path) { id, path in
                try call { err in lit_collection_get_i64(pointer, id, path, &value, err) }
            }
            return there ? value : nil
        }

        public func double(_ id: String, _ path: String) throws -> Double? {
            var value = 0.0
            let there = try with(id, path) { id, path in
                try call { err in lit_collection_get_f64(pointer, id, path, &value, err) }
            }
            return there ? value : nil
        }

        public func bool(_ id: String, _ path: String) throws -> Bool? {
            var value = false
            let there = try with(id, path) { id, path in
                try call { err in lit_collection_get_bool(pointer, id, path, &value, err) }
            }
            return there ? value : nil
        }

        public func set(_ id: String, _ path: String, _ value: String) throws {
            try with(id, path, value) { id, path, value in
                _ = try call { err in lit_collection_set_text(pointer, id, path, value, err) }
            }
        }

        public func set(_ id: String, _ path: String, _ value: Int64) throws {
            try with(id, path) { id, path in
                _ = try call { err in lit_collection_set_i64(pointer, id, path, value, err) }
            }
        }

        public func set(_ id: String, _ path: String, _ value: Double) throws {
            try with(id, path) { id, path in
                _ = try call { err in lit_collection_set_f64(pointer, id, path, value, err) }
            }
        }

        public func set(_ id: String, _ path: String, _ value: Bool) throws {
            try with(id, path) { id, path in
                _ = try call { err in lit_collection_set_bool(pointer, id, path, value, err) }
            }
        }

        public func unset(_ id: String, _ path: String) throws -> Bool {
            try with(id, path) { id, path in
                try call { err in lit_collection_unset(pointer, id, path, err) }
            }
        }

        /// Adds text to a set, which is made if nothing is there.
        public func add(_ id: String, _ path: String, _ element: String) throws {
            try with(id, path, element) { id, path, element in
                _ = try call { err in lit_collection_add_text(pointer, id, path, element, err) }
            }
        }

        public func remove(_ id: String, _ path: String, _ element: String) throws -> Bool {
            try with(id, path, element) { id, path, element in
                try call { err in lit_collection_remove_text(pointer, id, path, element, err) }
            }
        }

        /// Adds to a counter, which is made if nothing is there.
        public func increment(_ id: String, _ path: String, by: Int64 = 1) throws {
            try with(id, path) { id, path in
                _ = try call { err in lit_collection_increment(pointer, id, path, by, err) }
            }
        }

        /// The documents whose id begins with `prefix`, in the order of their ids, as they are now.
        public func scan(prefix: String = "", _ body: (_ id: String, _ json: String) throws -> Void) throws {
            let opened = try with(prefix) { prefix in
                try handle { scan, err in
                    var options = lit_scan_options_t()
                    lit_scan_options_init(&options)
                    options.prefix = prefix
                    return lit_collection_scan(pointer, &options, scan, err)
                }
            }
            let scan = opened!
            defer { lit_scan_free(scan) }
            var id = lit_slice_t()
            var json = lit_slice_t()
            while try call({ err in lit_scan_next(scan, &id, &json, err) }) {
                try body(copied(id), copied(json))
            }
        }

        public func conflicts() throws -> [Conflict] {
            try decodeConflicts(bytes { json, err in lit_collection_conflicts_json(pointer, json, err) }!)
        }

        /// Settles a conflict for `choice`, JSON: a candidate's value or a new one.
        public func resolve(_ conflict: Conflict, choice: String) throws {
            try with(conflict.id, conflict.path, choice) { id, path, choice in
                _ = try call { err in lit_collection_resolve(pointer, id, path, choice, err) }
            }
        }
    }

    /// Writes that take effect together, when the block of `Store.write` ends. One thread at a time.
    public final class Transaction {
        let pointer: OpaquePointer

        init(pointer: OpaquePointer) {
            self.pointer = pointer
        }

        /// Without a commit before it, nothing was written.
        deinit {
            lit_txn_free(pointer)
        }

        public func put<Content: Encodable>(_ collection: Collection, _ id: String, _ content: Content) throws {
            try with(id, encode(content)) { id, json in
                _ = try call { err in lit_txn_put_json(pointer, collection.pointer, id, json, err) }
            }
        }

        public func set(_ collection: Collection, _ id: String, _ path: String, _ value: String) throws {
            try with(id, path, value) { id, path, value in
                _ = try call { err in lit_txn_set_text(pointer, collection.pointer, id, path, value, err) }
            }
        }

        public func add(_ collection: Collection, _ id: String, _ path: String, _ element: String) throws {
            try with(id, path, element) { id, path, element in
                _ = try call { err in lit_txn_add_text(pointer, collection.pointer, id, path, element, err) }
            }
        }

        public func increment(_ collection: Collection, _ id: String, _ path: String, by: Int64 = 1) throws {
            try with(id, path) { id, path in
                _ = try call { err in lit_txn_increment(pointer, collection.pointer, id, path, by, err) }
            }
        }

        public func delete(_ collection: Collection, _ id: String) throws -> Bool {
            try with(id) { id in
                try call { err in lit_txn_delete(pointer, collection.pointer, id, err) }
            }
        }
    }
}

private func encode<Content: Encodable>(_ content: Content) throws -> String {
    String(decoding: try JSONEncoder().encode(content), as: UTF8.self)
}

func decodeConflicts(_ json: [UInt8]) throws -> [Conflict] {
    let decoded = try JSONSerialization.jsonObject(with: Data(json)) as? [[String: Any]] ?? []
    return try decoded.map { conflict in
        let candidates = conflict["candidates"] as? [[String: Any]] ?? []
        return Conflict(
            collection: conflict["collection"] as? String ?? "",
            id: conflict["id"] as? String ?? "",
            path: conflict["path"] as? String ?? "",
            candidates: try candidates.map { candidate in
                let value = try JSONSerialization.data(
                    withJSONObject: candidate["value"] ?? NSNull(), options: [.fragmentsAllowed])
                return Conflict.Candidate(
                    value: String(decoding: value, as: UTF8.self),
                    author: candidate["author"] as? String ?? "")
            })
    }
}
