package smtp

import (
	"fmt"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/wire"
)

// Mail programs show a refusal to whoever pressed Send, word for word. So it says in their language what is wrong and what to do, names the
// address, and is ASCII, since not every program decodes more. It tells nobody whether an account exists that they may not see: what
// may not be used and what does not exist is answered alike.

// text is one sentence in the languages of the platform.
type text struct{ fr, en string }

func (t text) in(language string, args ...any) string {
	if language == "en" {
		return fmt.Sprintf(t.en, args...)
	}
	return fmt.Sprintf(t.fr, args...)
}

var (
	textSender = text{ //nolint:gochecknoglobals // as constant as Go has them
		"Vous ne pouvez pas envoyer de message en tant que %s: choisissez dans le champ De une de vos boites",
		"You may not send as %s: choose one of your mailboxes in the field From",
	}
	textHeader = text{ //nolint:gochecknoglobals // as above
		"header From: vous ne pouvez pas envoyer de message en tant que %s: choisissez dans le champ De une de vos boites",
		"header From: you may not send as %s: choose one of your mailboxes in the field From",
	}
	textUntrusted = text{ //nolint:gochecknoglobals // as above
		"%s: le domaine %s n'est pas dans l'espace de confiance MSSante",
		"%s: the domain %s is not in the MSSante trust space",
	}
	textNoMSSante = text{ //nolint:gochecknoglobals // as above
		"%s: votre boite n'a pas d'adresse MSSante et n'ecrit qu'aux boites de cette plateforme",
		"%s: your mailbox has no MSSante address and writes to mailboxes of this platform only",
	}
	textUnknown = text{ //nolint:gochecknoglobals // as above
		"%s: cette adresse n'existe pas sur cette plateforme",
		"%s: there is no such address on this platform",
	}
	textRate = text{ //nolint:gochecknoglobals // as above
		"Trop de messages envoyes depuis une heure en tant que %s: reessayez plus tard",
		"Too many messages sent within an hour as %s: try again later",
	}
	textFull = text{ //nolint:gochecknoglobals // as above
		"La boite %s est pleine, la copie du message envoye n'y tient plus: supprimez des messages et renvoyez",
		"The mailbox %s is full and cannot keep the copy of what is sent: delete messages and send again",
	}
	textGone = text{ //nolint:gochecknoglobals // as above
		"Vos droits ont change: reconnectez-vous",
		"Your rights have changed: log in again",
	}
)

// notRecipient is the answer to a recipient that policy refused.
func notRecipient(language string, to mail.Address, d policy.RecipientDecision) *wire.Reply {
	switch d.Reason.Code {
	case policy.ReasonUntrusted:
		return wire.NewReply(550, "5.7.1", "%s", textUntrusted.in(language, to, to.Domain()))
	case policy.ReasonNoMSSante:
		return wire.NewReply(550, "5.7.1", "%s", textNoMSSante.in(language, to))
	default:
		return wire.NewReply(550, "5.1.1", "%s", textUnknown.in(language, to))
	}
}
