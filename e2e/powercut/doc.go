// Package powercut cuts the power under the store: a process writes bodies and tells which are acknowledged, is stopped at a
// random moment, and the disk is read as it was then. Every acknowledged body must be there, whole.
//
// The same is done to a whole daemon while people submit: every message that was answered 250 must be in the queue or delivered, in Sent and
// in the trace.
//
// It also fills such a disk up: writes are refused before the engine, which maps its files, would be killed.
//
// The disk is an ext4 file system on a loop device, so the tests want root and Linux, and are built with the tag powercut only.
package powercut
