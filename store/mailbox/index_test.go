package mailbox

import "testing"

// TestGhosts: an expunged message is kept for as long as one view has not been told, and no longer.
func TestGhosts(t *testing.T) {
	x := newIndex(folderKey{"a", 1})
	x.modseq, x.messages = 1, []message{{UID: 1}, {UID: 2}, {UID: 3}}
	told, behind := &View{expunged: 1}, &View{expunged: 1}
	x.views[told], x.views[behind] = struct{}{}, struct{}{}
	x.apply(change{modseq: 3, expunged: []uint32{3}}) // comes before its predecessor
	if len(x.messages) != 3 || len(x.early) != 1 {
		t.Fatalf("a change was applied before the one before it: %+v", x.messages)
	}
	x.apply(change{modseq: 2, expunged: []uint32{1}})
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() {}, 2},
		{func() { told.expunged = 3 }, 2},
		{func() { behind.expunged = 2 }, 1},
		{func() { delete(x.views, behind) }, 0},
	} {
		step.do()
		if x.forget(); len(x.ghosts) != step.want {
			t.Errorf("%d expunged messages are kept, want %d", len(x.ghosts), step.want)
		}
	}
	if len(x.messages) != 1 || len(x.early) != 0 || x.modseq != 3 {
		t.Errorf("messages %+v, %d early changes, modification sequence %d", x.messages, len(x.early), x.modseq)
	}
}
