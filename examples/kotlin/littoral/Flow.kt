package littoral

import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.callbackFlow

/**
 * The changes after a position, of one collection or of all, as a flow; needs kotlinx-coroutines. It ends when the
 * store is closed. A collector that is slow holds up the other subscriptions of the store, and nothing else.
 *
 * It fails if the log no longer reached back to where it was: read the documents anew, and collect another.
 */
fun Store.changeFlow(since: Long = Changes.NOW, collection: String? = null): Flow<Change> = callbackFlow {
    val subscription = subscribe(
        since,
        collection,
        onGap = { close(IllegalStateException("the log no longer reaches back to where the flow was")) },
        onEnd = { close() },
    ) { change -> trySendBlocking(change) }
    awaitClose { subscription.close() }
}
