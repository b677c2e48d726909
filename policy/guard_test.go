package policy

import (
	"fmt"
	"testing"

	"balorg/mail"
)

func TestHold(t *testing.T) {
	known := make([]Identity, 20)
	for i := range known {
		known[i] = Identity{ID: mail.AccountID(fmt.Sprint(i)), State: IdentityLive}
	}
	changes := func(parked, live int) []Identity {
		var all []Identity
		for i := range parked {
			all = append(all, Identity{ID: known[i].ID, State: IdentityParked})
		}
		for range live {
			all = append(all, Identity{ID: "new", State: IdentityLive})
		}
		return all
	}
	for _, tt := range []struct {
		cfg                        Config
		parked, live, kept, heldUp int
	}{
		{Config{}, 0, 3, 3, 0},
		{Config{}, 4, 1, 5, 0},   // few
		{Config{}, 5, 1, 1, 5},   // a quarter
		{Config{}, 20, 2, 2, 20}, // all
		{Config{GuardShare: 0.3}, 6, 0, 6, 0},
		{Config{GuardShare: 0.3}, 7, 0, 0, 7},
		{Config{GuardAtLeast: 10}, 9, 1, 10, 0},
	} {
		kept, held := tt.cfg.Hold(known, changes(tt.parked, tt.live))
		if len(kept) != tt.kept || held != tt.heldUp {
			t.Errorf("%+v, %d parked, %d live: %d kept, %d held; want %d, %d", tt.cfg, tt.parked, tt.live, len(kept), held, tt.kept, tt.heldUp)
		}
	}
}
