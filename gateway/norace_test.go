//go:build !race

package gateway_test

// slower is how many times as long as usual everything takes under the race detector.
const slower = 1
