import CLittoral
import Foundation

/// A document was written, here (`local`) or by a peer. What it holds now is to be read; it may be gone.
public struct Change: Equatable, Sendable {
    /// Keep it, and go on from it after a restart: `changes(since: position)`.
    public let position: UInt64
    /// By the author's clock.
    public let time: Date
    public let collection: String
    public let id: String
    /// The author's key.
    public let origin: String
    public let local: Bool
}

extension Store {
    /// Only what is yet to come.
    public static let now = UInt64.max

    /// The changes after a position. It ends when the store is closed, or nobody listens any more.
    ///
    ///     for await change in try store.changes() { print(change.id) }
    public func changes(since: UInt64 = Store.now) throws -> AsyncStream<Change> {
        let feed = Feed(
            pointer: try handle { changes, err in lit_changes_open(pointer, since, changes, err) }!)
        return AsyncStream { continuation in
            continuation.onTermination = { _ in feed.stop() }
            // A thread that waits in C: a task would hold one of the few of Swift's pool.
            Thread.detachNewThread {
                var step = feed.next()
                while step != .end {
                    if case .change(let change) = step {
                        continuation.yield(change)
                    }
                    step = feed.next()
                }
                continuation.finish()
            }
        }
    }
}

private enum Step: Equatable {
    case change(Change)
    /// Nothing has come for a while.
    case nothing
    case end
}

/// A feed of changes, read by one thread and stopped by any.
private final class Feed: @unchecked Sendable {
    /// How long a feed that was stopped may still hold its thread, in milliseconds.
    private static let patience: Int64 = 250

    private let pointer: OpaquePointer
    private let lock = NSLock()
    private var stopped = false

    init(pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        lit_changes_free(pointer)
    }

    func stop() {
        lock.lock()
        stopped = true
        lock.unlock()
    }

    private var isStopped: Bool {
        lock.lock()
        defer { lock.unlock() }
        return stopped
    }

    func next() -> Step {
        if isStopped {
            return .end
        }
        var change = lit_change_t()
        switch lit_changes_next(pointer, Feed.patience, &change, nil) {
        case LIT_OK:
            return .change(
                Change(
                    position: change.position,
                    time: Date(timeIntervalSince1970: Double(change.time_ms) / 1000),
                    collection: copied(change.collection),
                    id: copied(change.id),
                    origin: copied(change.origin),
                    local: change.local))
        case LIT_TIMEOUT:
            return .nothing
        default:
            return .end
        }
    }
}
