package smtp

import "balorg/smtp/queue"

// Reporter composes reports to senders.
func (s *Acceptor) Reporter() queue.Reporter { return nil }
