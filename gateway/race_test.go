//go:build race

package gateway_test

// slower is how many times as long as usual everything takes under the race detector, and on a machine that has other work.
const slower = 5
