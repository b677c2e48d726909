package smtp

import (
	"sync"
	"time"

	"balorg/mail"
)

// Defaults of Limits: a busy secretariat sends some dozens of messages an hour; software that runs wild, thousands.
const (
	defaultMessagesPerHour   = 500
	defaultRecipientsPerHour = 2000
)

// rates counts what each person sends as each mailbox. What is counted is forgotten by a restart.
type rates struct {
	limits Limits
	now    func() time.Time
	mu     sync.Mutex
	spent  map[sender]*bucket
	swept  time.Time
}

type sender struct{ person, mailbox mail.AccountID }

// bucket refills steadily: what has been sent an hour ago counts no more, and nothing is kept of when it was.
type bucket struct {
	messages, recipients float64 // that still count
	at                   time.Time
}

func newRates(l Limits, now func() time.Time) rates {
	if l.MessagesPerHour == 0 {
		l.MessagesPerHour = defaultMessagesPerHour
	}
	if l.RecipientsPerHour == 0 {
		l.RecipientsPerHour = defaultRecipientsPerHour
	}
	return rates{limits: l, now: now, spent: make(map[sender]*bucket)}
}

// allow tells whether one more message, and one with so many recipients, may go out now.
func (r *rates) allow(s sender, recipients int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(s)
	return b.messages+1 <= float64(r.limits.MessagesPerHour) && b.recipients+float64(recipients) <= float64(r.limits.RecipientsPerHour)
}

// spend counts a message that was accepted.
func (r *rates) spend(s sender, recipients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(s)
	b.messages++
	b.recipients += float64(recipients)
}

func (r *rates) bucket(s sender) *bucket {
	now := r.now()
	if now.Sub(r.swept) > time.Hour {
		for key, b := range r.spent {
			if now.Sub(b.at) > time.Hour {
				delete(r.spent, key)
			}
		}
		r.swept = now
	}
	b := r.spent[s]
	if b == nil {
		b = &bucket{at: now}
		r.spent[s] = b
	}
	hours := now.Sub(b.at).Hours()
	b.messages = max(0, b.messages-hours*float64(r.limits.MessagesPerHour))
	b.recipients = max(0, b.recipients-hours*float64(r.limits.RecipientsPerHour))
	b.at = now
	return b
}
