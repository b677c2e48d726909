package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// neededRights are those the proxy relies on in a mailbox it is logged in as (RFC 4314): whatever a person may do there is the gateway's
// to decide.
const neededRights = "lrswite"

// Check logs in as a mailbox and looks at what the proxy needs there. It answers what is wrong in words for an administrator.
func (s *Store) Check(ctx context.Context, who Who) error {
	c, err := s.Open(ctx, who)
	if err != nil {
		return err
	}
	defer c.Close()                                      //nolint:errcheck // it was only looked at
	stop := context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // as above
	defer stop()
	if missing := missing(c.caps, "UIDPLUS", "LITERAL+", "NAMESPACE"); len(missing) > 0 {
		return fmt.Errorf("the server lacks %s", strings.Join(missing, ", "))
	}
	d := &dialogue{conn: c.Conn, in: c.in, caps: c.caps, tags: 100}
	text, err := d.run("EXAMINE INBOX", nil)
	if errors.Is(err, errNo) {
		return fmt.Errorf("logged in as %s, whose INBOX may not be opened: %.80q (hint: Dovecot's acl plugin looks at the master user's rights; set acl_user = %%u in plugin)", who.Address, text)
	}
	if err != nil {
		return fmt.Errorf("EXAMINE INBOX as %s: %w", who.Address, err)
	}
	if !d.has("ACL") {
		return nil
	}
	rights := ""
	if _, err := d.run("MYRIGHTS INBOX", func(line string) { rights = line[strings.LastIndexByte(line, ' ')+1:] }); err != nil {
		return fmt.Errorf("MYRIGHTS INBOX as %s: %w", who.Address, err)
	}
	for _, r := range neededRights {
		if !strings.ContainsRune(rights, r) {
			return fmt.Errorf("logged in as %s, who has the rights %q in INBOX and needs %q (hint: Dovecot's acl plugin looks at the master user's rights; set acl_user = %%u in plugin)", who.Address, rights, neededRights)
		}
	}
	return nil
}

// missing answers which of wanted are not in caps.
func missing(caps []string, wanted ...string) (missing []string) {
	for _, w := range wanted {
		found := false
		for _, c := range caps {
			found = found || c == w
		}
		if !found {
			missing = append(missing, w)
		}
	}
	return missing
}
