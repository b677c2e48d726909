package relay

import (
	"context"
	"errors"
)

// Probe does what begins every attempt at the smarthost, and sends nothing: it connects, greets, turns TLS on, verifies who it is and logs in, as
// configured. It answers what was done, and what went wrong.
func (r *Relay) Probe(ctx context.Context) (done string, err error) {
	targets, refused := r.targets(ctx, "")
	if refused != nil {
		return "", refused.reply
	}
	if r.opt.Smarthost == "" || len(targets) == 0 {
		return "", errors.New("there is no smarthost")
	}
	c, err := r.open(ctx, targets[0], "")
	if err != nil {
		return "", err
	}
	defer c.close()
	c.quit()
	done = "greets"
	if c.tls != "" {
		done += ", speaks " + c.tls + " with a certificate that is trusted"
	} else {
		done += ", in the clear"
	}
	if r.opt.User != "" {
		done += ", and takes the log-in"
	}
	return done, nil
}
