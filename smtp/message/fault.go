package message

import (
	"errors"
	"fmt"

	"balorg/mail/header"
	"balorg/smtp/wire"
)

// Fault is a header that is not taken. Its texts are for the person who wrote the message, in ASCII; its Error is for the log.
type Fault struct {
	code     int
	enhanced string
	what     string
	fr, en   string
}

func (f *Fault) Error() string { return "header refused: " + f.what }

// Reply answers the fault in a language, fr or en.
func (f *Fault) Reply(language string) *wire.Reply {
	text := f.fr
	if language == "en" {
		text = f.en
	}
	return &wire.Reply{Code: f.code, Enhanced: f.enhanced, Text: text}
}

// unread is a header that could not be read.
func unread(err error) error {
	var syntax *header.SyntaxError
	switch {
	case errors.Is(err, header.ErrTooLarge):
		return &Fault{
			552, "5.3.4", err.Error(),
			fmt.Sprintf("L'en-tete du message est trop long (plus de %d Ko): il y a peut-etre trop de destinataires", header.Max>>10),
			fmt.Sprintf("The header of the message is too long (more than %d KB): perhaps it has too many recipients", header.Max>>10),
		}
	case errors.As(err, &syntax):
		return &Fault{
			554, "5.6.0", err.Error(),
			fmt.Sprintf("L'en-tete du message est mal forme (ligne %d): signalez-le a l'editeur de votre logiciel de messagerie", syntax.Line),
			fmt.Sprintf("The header of the message is malformed (line %d): please tell the maker of your mail program", syntax.Line),
		}
	}
	return err
}

// badFrom is a header From from which not exactly one address can be read.
func badFrom(why string) error {
	return &Fault{
		550, "5.7.1", "From: " + why,
		"header From: l'expediteur (champ De) doit etre une seule adresse, celle d'une de vos boites: choisissez-la dans la liste et renvoyez le message",
		"header From: the sender (From) must be one single address, that of one of your mailboxes: choose it from the list and send the message again",
	}
}

// badSender is a header Sender from which not exactly one address can be read.
func badSender(why string) error {
	return &Fault{
		550, "5.7.1", "Sender: " + why,
		"header Sender: votre logiciel de messagerie a ecrit un champ Sender qui ne peut pas etre lu",
		"header Sender: your mail program wrote a Sender that cannot be read",
	}
}

func twice(name string) error {
	return &Fault{
		550, "5.6.0", "several fields " + name,
		fmt.Sprintf("Le message a plusieurs champs %s: un seul est permis", name),
		fmt.Sprintf("The message has several fields %s: only one is allowed", name),
	}
}

func resent(name string) error {
	return &Fault{
		550, "5.7.1", "field " + name,
		"Reexpedier (rediriger) un message n'est pas permis ici: transferez-le",
		"Resending (redirecting, bouncing) a message is not allowed here: forward it",
	}
}
