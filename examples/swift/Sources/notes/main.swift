// Notes on the command line, which merge with those of every other device.

import Foundation
import Littoral

let usage = """
    usage: notes DIR COMMAND
      add ID TITLE [BODY]    write a note
      tag ID TAG..           add tags: tags of all devices come together
      read ID                show a note, and count that it was read
      list [PREFIX]          show all, or those whose id begins so
      delete ID
      conflicts              what was written twice, unseen by each other
      settle ID PATH TEXT    decide it, for everybody
      watch                  show what changes, here and elsewhere
      join TICKET            become a member, and sync
      sync                   sync with those known from then on
    """

struct Note: Codable {
    var title: String?
    var body: String?
    var tags: LittoralSet<String>?
    var reads: LittoralCounter?

    var line: String {
        let tags = (self.tags?.elements.sorted() ?? []).map { " #\($0)" }.joined()
        let body = (self.body ?? "").isEmpty ? "" : ": \(self.body!)"
        return "\(title ?? "untitled")\(tags)\(body)"
    }
}

func decoded(_ json: String) throws -> Note {
    try JSONDecoder().decode(Note.self, from: Data(json.utf8))
}

func said(_ synced: Bool) {
    print(synced ? "synced" : "nobody answered; what was written here is safe, and goes another time")
}

func watch(_ store: Store) async throws {
    for await change in try store.changes() {
        let note = try store.collection(change.collection).json(change.id).map(decoded)
        print("\(change.local ? "here" : "there")  \(change.id)  \(note?.line ?? "deleted")")
    }
}

func run(_ command: String, _ rest: [String], in directory: String) async throws {
    let store = try Store(path: directory, ticket: command == "join" ? rest.first ?? "" : "")
    let notes = try store.collection("notes")
    switch (command, rest.count) {
    case ("add", 2), ("add", 3):
        try store.write { txn in
            try txn.set(notes, rest[0], "/title", rest[1])
            if rest.count == 3 {
                try txn.set(notes, rest[0], "/body", rest[2])
            }
        }
    case ("tag", 2...):
        for tag in rest.dropFirst() {
            try notes.add(rest[0], "/tags", tag)
        }
    case ("read", 1):
        guard let note = try notes.get(rest[0], as: Note.self) else {
            return print("there is no note '\(rest[0])'")
        }
        try notes.increment(rest[0], "/reads")
        print("\(note.content.line) (read \((note.content.reads?.value ?? 0) + 1) times)")
    case ("list", 0), ("list", 1):
        try notes.scan(prefix: rest.first ?? "") { id, json in
            let note = try decoded(json)
            print("\(id)  \(note.line)")
        }
    case ("delete", 1):
        let deleted = try notes.delete(rest[0])
        print(deleted ? "deleted" : "there was none")
    case ("conflicts", 0):
        for conflict in try notes.conflicts() {
            print("\(conflict.id) \(conflict.path)")
            for candidate in conflict.candidates {
                print("  \(candidate.value), by \(candidate.author.prefix(8))")
            }
        }
    case ("settle", 3):
        guard let conflict = try notes.conflicts().first(where: { $0.id == rest[0] && $0.path == rest[1] }) else {
            return print("there is no such conflict")
        }
        let choice = try JSONEncoder().encode(rest[2])
        try notes.resolve(conflict, choice: String(decoding: choice, as: UTF8.self))
    case ("watch", 0):
        try await watch(store)
    case ("join", 1):
        let link = try store.join(rest[0])
        said(try link?.waitSynced() ?? false)
    case ("sync", 0):
        try store.connectKnown()
        said(try store.waitSynced())
    default:
        print(usage)
    }
    try store.close()
}

let arguments = CommandLine.arguments
guard arguments.count >= 3 else {
    print(usage)
    exit(2)
}
do {
    try await run(arguments[2], Array(arguments.dropFirst(3)), in: arguments[1])
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
