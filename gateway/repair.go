package gateway

import (
	"context"
	"encoding/json"

	"balorg/gateway/control"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
)

// StoreLine is one line about the state: what is wrong, or what was done about it.
type StoreLine struct {
	Done    string `json:"done,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// bodyChecker verifies bodies and their octets, and tells damaged which are not what they were.
func (st *state) bodyChecker(damaged func(body.ID)) body.Checker {
	return body.Checker{Bodies: st.bodies, Referrers: []body.Referrer{st.boxes, st.queue}, Contents: true, Damaged: damaged}
}

// mailCheckers verify bodies, and then which messages those are that are damaged.
func (st *state) mailCheckers() []store.Checker {
	damaged := map[body.ID]bool{}
	return []store.Checker{
		st.bodyChecker(func(id body.ID) { damaged[id] = true }), st.boxes,
		mailbox.Holders{Store: st.boxes, Damaged: func() map[body.ID]bool { return damaged }},
	}
}

// repair mends what can be mended of the mail, and answers what is wrong then. The order matters: which references bodies have depends on the rows of
// messages, and what is parsed anew on the bodies.
func (st *state) repair(ctx context.Context, done func(string)) ([]string, error) {
	bodies := st.bodyChecker(nil)
	unclaimed, err := bodies.Unclaimed(ctx)
	if err != nil {
		return nil, err
	}
	lost, err := st.boxes.Repair(ctx, unclaimed, done)
	if err != nil {
		return nil, err
	}
	if err := bodies.Repair(ctx, lost > 0, done); err != nil {
		return nil, err
	}
	if err := st.boxes.RepairDetails(ctx, done); err != nil {
		return nil, err
	}
	return st.check(ctx)
}

// storeOperations are those on the state as a whole.
func (st *state) storeOperations() map[string]control.Op {
	return map[string]control.Op{
		OpCheckStore: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			problems, err := st.check(ctx)
			if err != nil {
				return err
			}
			for _, p := range problems {
				if err := emit(p); err != nil {
					return err
				}
			}
			return nil
		},
		OpRepairStore: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			var lost error // whoever asked is gone: what was begun is finished all the same
			problems, err := st.repair(ctx, func(what string) {
				if lost == nil {
					lost = emit(StoreLine{Done: what})
				}
			})
			if err != nil {
				return err
			}
			for _, p := range problems {
				if err := emit(StoreLine{Problem: p}); err != nil {
					return err
				}
			}
			return lost
		},
	}
}
