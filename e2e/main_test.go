// Package e2e drives the real binary over real sockets: with mail clients as people use them (mbsync, offlineimap, interimap, curl,
// Python's imaplib, neomutt; swaks, msmtp, s-nail), with mail stores and mail servers as they run elsewhere (Dovecot, Cyrus; Postfix and
// its smtp-sink), with raw connections that behave badly, with cables that are pulled out, and with signals and full disks.
//
// Every test has a daemon and a state of its own, and ends with `balorg check-store` on that state. A client that is not
// installed fails its test: peers.sh installs them all.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Flags of this package's tests.
var (
	killRounds = flag.Int("kill-rounds", 3, "how often TestKill and TestKillSubmission kill the daemon")
	crowdSeed  = flag.Uint64("crowd-seed", 1, "what the commands of TestCrowd follow from")
	raceDaemon = flag.Bool("race-daemon", false, "build the daemon with the race detector")
)

// binary is where TestMain builds the daemon.
var binary = filepath.Join(os.TempDir(), fmt.Sprintf("balorg-e2e-%d", os.Getpid()), "balorg")

func TestMain(m *testing.M) {
	flag.Parse()
	defer os.RemoveAll(filepath.Dir(binary)) // a leftover in the temporary folder
	args := []string{"build", "-o", binary}
	if *raceDaemon {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "balorg/cmd/balorg")...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the daemon: %v\n%s", err, out))
	}
	m.Run()
}
