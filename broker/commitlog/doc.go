// Package commitlog keeps one partition on disk in Kafka's own formats:
// segments of record batches with their indexes of offsets, times and aborted
// transactions, producer state snapshots, the leader epoch checkpoint and the partition's topic id.
//
// Open recovers what a crash left behind. One goroutine at a time appends;
// reads take no lock that an append holds over the disk. Everything below
// DurableOffset has been fdatasynced; NotifyDurable and WaitDurable share one
// fdatasync among all who wait. After a failed fdatasync, or a failed write
// that could not be undone, the log answers every call that depends on the
// disk with a StorageError until it is opened again.
//
// Lock order: Log.cleanMu, Log.syncMu, then Log.mu, then Log.saveMu or one of the small
// locks of indexes, epochs, positions, rounds and waiters.
package commitlog
