//go:build powercut

package powercut_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"balorg/store"
	"balorg/store/body"
)

var rounds = flag.Int("rounds", 20, "how often the power is cut")

const (
	writerEnv = "BALORG_POWERCUT_WRITER" // the folder the writer writes to; set: this process is the writer
	diskSize  = 6 << 30                  // sparse
	minFree   = 128 << 20
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := write(context.Background(), dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// ack is a line of the writer: a body that is durable.
type ack struct {
	id   body.ID
	size int
	seed uint64
}

func TestPowerCut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the power-cut test mounts loop devices: run it as root")
	}
	work := t.TempDir()
	disk := filepath.Join(work, "disk")
	makeDisk(t, disk, diskSize)
	var acked []ack
	for round := range *rounds {
		acked = append(acked, cut(t, work, disk)...)
		lost := verify(t, work, disk, acked)
		t.Logf("round %d: %d acknowledged, %d lost", round+1, len(acked), lost)
		if lost > 0 {
			t.Fatalf("%d of %d acknowledged bodies lost", lost, len(acked))
		}
	}
}

func makeDisk(t *testing.T, disk string, size int64) {
	t.Helper()
	f, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs.ext4", "-q", "-F", disk)
}

// cut lets the writer write to the disk and cuts its power: the disk becomes what it was at that moment, with the page
// cache of its file system gone. It answers what was acknowledged before.
func cut(t *testing.T, work, disk string) []ack {
	t.Helper()
	dir, loop := mount(t, work, disk)
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), writerEnv+"="+dir)
	writer.Stderr = os.Stderr
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []ack
	stop := time.Duration(100+rand.IntN(900)) * time.Millisecond
	var timer *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a ack
		if _, err := fmt.Sscan(lines.Text(), &a.id, &a.size, &a.seed); err != nil {
			t.Fatalf("writer says %q: %v", lines.Text(), err)
		}
		if acked = append(acked, a); timer == nil {
			timer = time.AfterFunc(stop, func() { freeze(t, writer.Process.Pid, loop, disk) })
		}
	}
	_ = writer.Wait() // it was killed
	if timer == nil {
		t.Fatal("the writer acknowledged nothing")
	}
	command(t, "umount", dir)
	if err := os.Rename(disk+".cut", disk); err != nil {
		t.Fatal(err)
	}
	return acked
}

// freeze stops the writer, copies the disk, then kills the writer, which ends what it says. Whatever it acknowledged before it
// was stopped is in the pipe.
func freeze(t *testing.T, pid int, loop, disk string) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	for stat := ""; !strings.Contains(stat, ") T "); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Error(err)
			break
		}
		stat = string(b)
	}
	// The kernel may still write back pages it holds; a copy that met such a write is no state the disk was ever in.
	for try := 0; ; try++ {
		before := written(t, loop)
		copied, err := exec.Command("cp", "--sparse=always", disk, disk+".cut").CombinedOutput()
		if err != nil {
			t.Errorf("copy the disk: %v: %s", err, copied)
		}
		if written(t, loop) == before {
			break
		}
		if try == 20 {
			t.Error("the disk does not come to rest")
			break
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// written answers how many sectors were written to the loop device.
func written(t *testing.T, loop string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(loop), "stat"))
	if err != nil {
		t.Error(err)
		return ""
	}
	return strings.Fields(string(b))[6]
}

// mount mounts the disk and answers the folder and the loop device.
func mount(t *testing.T, work, disk string) (dir, loop string) {
	t.Helper()
	dir = filepath.Join(work, "mnt")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-o", "loop", disk, dir)
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() }) // only still mounted when the test failed
	return dir, command(t, "findmnt", "-n", "-o", "SOURCE", dir)
}

// verify mounts the disk as after the return of the power, looks for every acknowledged body and answers how many are lost.
func verify(t *testing.T, work, disk string, acked []ack) (lost int) {
	t.Helper()
	dir, _ := mount(t, work, disk)
	st, bodies, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bodies.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for _, a := range acked {
		if err := a.check(t.Context(), bodies); err != nil {
			t.Logf("body %d of %d octets: %v", a.id, a.size, err)
			lost++
		}
	}
	problems, err := store.Check(t.Context(), st, body.Checker{Bodies: bodies, Contents: true})
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("after the cut: %s", p)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	command(t, "umount", dir)
	return lost
}

func (a ack) check(ctx context.Context, bodies *body.Bodies) error {
	r, err := bodies.Open(ctx, a.id)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err == nil && !bytes.Equal(got, content(a.size, a.seed)) {
		err = fmt.Errorf("holds %d other octets", len(got))
	}
	return err
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func open(dir string) (*store.DB, *body.Bodies, error) {
	st, err := store.Open(store.Options{Dir: filepath.Join(dir, "db"), MinFree: minFree})
	if err != nil {
		return nil, nil, err
	}
	bodies, err := body.New(st, filepath.Join(dir, "bodies"), body.Options{})
	return st, bodies, err
}

// content is what a body of this size and seed holds.
func content(size int, seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// write is the writer: it stores bodies, small and large, until it is killed, and tells each that is acknowledged.
func write(ctx context.Context, dir string, out io.Writer) error {
	st, bodies, err := open(dir)
	if err != nil {
		return err
	}
	const writers = 8
	failed := make(chan error, writers)
	for range writers {
		go func() {
			for {
				a := ack{size: 1 + rand.IntN(8<<10), seed: rand.Uint64()}
				switch rand.IntN(10) {
				case 0:
					a.size = body.InlineLimit + rand.IntN(1<<20)
				case 1:
					a.size = rand.IntN(body.InlineLimit)
				}
				var err error
				if a.id, err = keep(ctx, st, bodies, content(a.size, a.seed)); err != nil {
					failed <- err
					return
				}
				// One write call a line, so that no line is cut.
				if _, err := fmt.Fprintf(out, "%d %d %d\n", a.id, a.size, a.seed); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// keep stores one body.
func keep(ctx context.Context, st store.Store, bodies *body.Bodies, octets []byte) (id body.ID, err error) {
	p, err := bodies.Create(ctx)
	if err != nil {
		return 0, err
	}
	defer p.Discard()
	if _, err := p.Write(octets); err != nil {
		return 0, err
	}
	if err := p.Finish(); err != nil {
		return 0, err
	}
	err = st.Update(ctx, func(tx store.Writer) (err error) {
		id, err = p.Put(tx)
		return err
	})
	return id, err
}
