package message_test

import (
	"strings"
	"testing"

	"balorg/smtp/message"
)

// BenchmarkRewrite is what the header of a message as Thunderbird writes it costs: read, checked, and rewritten so that it hides the
// person.
func BenchmarkRewrite(b *testing.B) {
	text := strings.Join([]string{
		"Message-ID: <5f8dd6c1-6d0e-4c2b-8f4a-0e6c1f7a9d11@clinique-des-sapins.fr>", "Date: Tue, 24 Nov 2026 12:00:00 +0100", "MIME-Version: 1.0",
		"User-Agent: Mozilla Thunderbird", "Subject: =?UTF-8?Q?Compte_rendu_op=C3=A9ratoire?=", "To: Claire Durand <claire.durand@sapins.mssante.fr>,\r\n \"Accueil, Urgences\" <urgences@hopital.mssante.fr>",
		"References: <a1b2c3d4-0000-4c2b-8f4a-0e6c1f7a9d11@hopital.mssante.fr>\r\n <a1b2c3d4-1111-4c2b-8f4a-0e6c1f7a9d11@hopital.mssante.fr>", "Content-Language: fr",
		"From: =?UTF-8?Q?No=C3=A9mie_Martin?= <noemie.martin@clinique-des-sapins.fr>", "Reply-To: =?UTF-8?Q?No=C3=A9mie_Martin?= <noemie.martin@clinique-des-sapins.fr>",
		"In-Reply-To: <a1b2c3d4-1111-4c2b-8f4a-0e6c1f7a9d11@hopital.mssante.fr>", "Content-Type: multipart/mixed; boundary=\"------------0e6c1f7a9d11\"",
	}, "\r\n") + "\r\n\r\nbody\r\n"
	r := as()
	b.ReportAllocs()
	for b.Loop() {
		h, _, err := message.Read(strings.NewReader(text))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := message.Check(h); err != nil {
			b.Fatal(err)
		}
		message.Inspect(h)
		r.Apply(h)
	}
}
