package littoral

import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn

/** How long a flow that was cancelled may still hold its thread. */
private val PATIENCE = 250.milliseconds

/** The changes after a position as a flow that never ends; needs kotlinx-coroutines. */
fun Store.changeFlow(since: Long = Changes.NOW): Flow<Change> = flow {
    changes(since).use { changes ->
        while (true) {
            currentCoroutineContext().ensureActive()
            changes.next(PATIENCE)?.let { emit(it) }
        }
    }
}.flowOn(Dispatchers.IO)
