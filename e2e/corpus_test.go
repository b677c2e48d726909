package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// awkward is a message that parsers fall over.
type awkward struct{ name, octets string }

// corpus makes all of them: every one is legal to APPEND, and hardly one is a legal message.
func corpus() []awkward {
	var all []awkward
	for _, group := range [][]awkward{bareMessages(), awkwardHeaders(), awkwardAddresses(), awkwardTypes(), awkwardParts(), largeMessages()} {
		all = append(all, group...)
	}
	return all
}

// crlf makes lines end as in mail.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// headed is a message with some header lines between the usual ones.
func headed(lines string) string {
	return crlf("From: Claire <claire@sapins.fr>\nTo: urgences@sapins.fr\nDate: Mon, 16 Nov 2026 10:00:00 +0100\n" +
		lines + "\nMessage-ID: <a@sapins.fr>\n\nCorps.\n")
}

// typed is a message of a content type, which lines of other headers may follow.
func typed(contentType, body string) string {
	return crlf("From: claire@sapins.fr\nSubject: structure\nMIME-Version: 1.0\nContent-Type: " + contentType + "\n\n" + body)
}

func bareMessages() []awkward {
	return []awkward{
		{"one empty line", "\r\n"},
		{"one octet", "x"},
		{"no header", "\r\nCorps seul.\r\n"},
		{"no body", "From: claire@sapins.fr\r\nSubject: en-tête\r\n\r\n"},
		{"no end of the header", "From: claire@sapins.fr\r\nSubject: fin"},
		{"no line end at the end", "Subject: fin\r\n\r\nsans fin de ligne"},
		{"lines that end with LF", "From: claire@sapins.fr\nSubject: LF\nX-Folded: a\n b\n\nune\ndeux\n\ntrois"},
		{"lines that end either way", "From: claire@sapins.fr\r\nSubject: mixte\nX-A: b\r\n\nune\r\ndeux\ntrois\r\n"},
		{"CR in the header", "Subject: avant\raprès\r\nX-A: \r\r\nTo: a@b\r\r\n\r\nCorps\r\n"},
		{"CR in the body", "Subject: CR\r\n\r\navant\raprès\r\r\nfin\r"},
		{"NUL in the header", "Subject: nul\x00octet\r\nFrom: \x00@b\r\n\r\nCorps\r\n"},
		{"NUL in the body", "Subject: nul\r\n\r\nnul\x00octet\x00\r\n"},
		{"control characters", "Subject: \x01\x02\x07\x1b[31m\x7f\r\n\r\n\x01\x0b\x0c\x1a\r\n"},
		{"answers in the body", "Subject: réponse\r\n\r\n* 1 FETCH (BODY[] {3}\r\nabc)\r\np1 OK done\r\n* BYE\r\n)\r\n+ \r\n"},
		{"literals in the header", "Subject: compte {12}\r\nX-A: {3}\r\nFrom: \"{5}\" <a{6}@b>\r\n\r\n{7}\r\n"},
		{"mbox lines", "From claire Mon Nov 16 10:00:00 2026\r\nSubject: mbox\r\n\r\nFrom here\r\n>From there\r\n.\r\n..\r\n"},
		{"a mark of the byte order", "\xef\xbb\xbfSubject: BOM\r\n\r\n\xef\xbb\xbfCorps\r\n"},
	}
}

func awkwardHeaders() []awkward {
	return []awkward{
		{"8 bit, Latin 1", headed("Subject: R\xe9sultat \xe0 relire")},
		{"8 bit, UTF-8", headed("Subject: Résultat à relire, 日本語 🩺")},
		{"8 bit, neither", headed("Subject: \xff\xfe\x80 \xc3( \xf0\x9f")},
		{"encoded words", headed("Subject: =?utf-8?Q?R=C3=A9sultat?=\n =?ISO-8859-1?B?4Q==?= =?utf-8*fr?Q?_x?=")},
		{"broken encoded words", headed("Subject: =?utf-8?Q?R=C3?= =?x?Z?a?= =?utf-8?B?!!!?= =?utf-8?Q?ouvert")},
		{"quotes and backslashes", headed("Subject: \"a\\\"b\\\\c\" \\ { } ( ) % *")},
		{"an empty subject", headed("Subject:")},
		{"blanks only", headed("Subject:   \t  ")},
		{"folded on blanks", headed("Subject: a\n \n \t\n b\n\tc")},
		{"twice", headed("Subject: premier\nSubject: second\nDate: hier\nMessage-ID: <b@sapins.fr>")},
		{"no colon", headed("ceci n'est pas un en-tête\nSubject: suite")},
		{"blanks before the colon", headed("Subject : a\nX-B\t: b")},
		{"no name", headed(": sans nom\n:\n : suite")},
		{"names with odd characters", headed("X-(odd): a\nX\"y: b\nX[1]: c\nÉ: d")},
		{"dates", headed("Date: Lun, 32 Nov 2026 25:61:00 +9900 (CET (hiver)) \"x\"")},
		{"identifiers", headed("In-Reply-To: <a@b> hier <c d@e> \"x\"\nReferences: <a@b><c@d>\n\t<e@f")},
	}
}

func awkwardAddresses() []awkward {
	var all []awkward
	for _, a := range []struct{ name, value string }{
		{"a group", "Équipe: a@b.fr, \"C, D\" <c@d.fr>;"},
		{"an empty group", "undisclosed-recipients:;"},
		{"groups among others", "x@y.fr, A:a@b.fr;, B: ;, z@y.fr"},
		{"a group without end", "A: a@b.fr, c@d.fr"},
		{"a source route", "Route <@un.fr,@deux.fr:trois@quatre.fr>"},
		{"a broken source route", "<@un.fr,:@>, <@:a@b>"},
		{"comments", "(avant) a (milieu (dans)) @ (c) b.fr (Nom\\) Prénom), (seul)"},
		{"a comment without end", "a@b.fr (ouvert, c@d.fr"},
		{"a quoted local part", "\"a b\\\"c\\\\\"@d.fr, \"\"@e.fr, \"é\"@f.fr"},
		{"a quote without end", "\"ouvert <a@b.fr>, c@d.fr"},
		{"a domain literal", "a@[192.0.2.1], b@[IPv6:2001:db8::1], c@[x\\]y]"},
		{"no domain", "claire, <claire>, claire@, @sapins.fr, <>, <@>"},
		{"commas and semicolons", ",,;, a@b.fr;; c@d.fr,"},
		{"names in 8 bit", "Ren\xe9 <r@b.fr>, Zoé <z@b.fr>, =?utf-8?Q?L=C3=A9a?= <l@b.fr>"},
		{"dots", "a..b@c.fr, .a@b.fr, J. R. \"X\" P. <j@r.fr>, a . b @ c . fr"},
		{"angles", "<<a@b.fr>>, >a@b.fr<, a@b@c.fr, <a@b.fr> reste, A <a@b.fr> <c@d.fr>"},
	} {
		all = append(all, awkward{a.name, crlf("From: " + a.value + "\nTo: " + a.value + "\nCc: " + a.value + "\nReply-To: " + a.value +
			"\nSender: " + a.value + "\nBcc: " + a.value + "\nSubject: adresses\n\nCorps\n")})
	}
	return all
}

func awkwardTypes() []awkward {
	var all []awkward
	for _, value := range []string{
		"text", "/plain", "text/", "text/plain; charset", "text/plain;;; =x; charset==", "texte/étrange; é=\"à\"",
		"text/plain; charset=utf-8; charset=latin1; CHARSET=\"a\\\"b\"", "text/plain; name=\"ouvert\n", "TEXT/PLAIN ; (comment) charset = (x) utf-8",
		"application/pdf; name*0*=utf-8'fr'R%C3%A9; name*1=sultat; name*2*=%2Epdf", "application/pdf; name=\"R\xe9sultat.pdf\"\n", "",
		"message/external-body; access-type=URL; URL=\"http://x/\"\n", "message/partial; id=\"a\"; number=1; total=2",
	} {
		all = append(all, awkward{fmt.Sprintf("type %q", value), typed(value, "Content-Type: text/plain\n\nCorps\n")})
	}
	all = append(all,
		awkward{"disposition and the rest", typed("image/png\nContent-Disposition: attachment; filename=\"a;b.png\"; size=3\nContent-ID: <i@x>\n"+
			"Content-Language: fr, en (x), de\nContent-Location: http://x/\n y\nContent-MD5: Q2hlY2s=\nContent-Description: =?utf-8?Q?=C3=A9?= {3}\nContent-Transfer-Encoding: base64\n", "AAAA\n")},
		awkward{"unknown encoding", typed("text/plain\nContent-Transfer-Encoding: x-uuencode\n", "begin 644 a\n#86)C\n`\nend\n")},
		awkward{"broken base64", typed("text/plain; charset=utf-8\nContent-Transfer-Encoding: BASE64 (x)\n", "w6k=!!\n====\nw6\nk\n")},
		awkward{"broken quoted-printable", typed("text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n", "=C3=A9 =ZZ =\n= \n=E\n=")},
		awkward{"8 bit where 7 bit is said", typed("text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n", "é\xff\x80\n")},
	)
	return all
}

func awkwardParts() []awkward {
	const part = "Content-Type: text/plain\n\nune partie\n"
	inner := typed("multipart/mixed; boundary=b", "--b\n"+part+"--b\nContent-Type: text/html\n\n<p>\n--b--\n")
	return []awkward{
		{"a multipart", inner},
		{"preamble and epilogue", typed("multipart/alternative; boundary=\"b c\"", "avant\n--b c\n"+part+"--b c \t\n"+part+"--b c--\naprès\n--b c\n"+part)},
		{"no boundary", typed("multipart/mixed", "--\n"+part+"----\n")},
		{"an empty boundary", typed("multipart/mixed; boundary=\"\"", "--\n"+part+"----\n")},
		{"a boundary that never comes", typed("multipart/mixed; boundary=x", "corps\n")},
		{"no last boundary", typed("multipart/mixed; boundary=b", "--b\n"+part+"--b\n"+part)},
		{"only the last boundary", typed("multipart/mixed; boundary=b", "--b--\n")},
		{"empty parts", typed("multipart/mixed; boundary=b", "--b\n--b\n\n--b\nX: y\n--b\n\n\n--b\n\n--b--")},
		{"a boundary that begins another", typed("multipart/mixed; boundary=b", "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n"+part+"--b\n"+part+"--bb--\n--b--\n")},
		{"the same boundary inside", typed("multipart/mixed; boundary=b", "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"+part+"--b--\n"+part+"--b--\n")},
		{"boundaries with blanks and case", typed("multipart/mixed; boundary=\"B'()+_,-./:=?\"", "--b'()+_,-./:=?\n"+part+"--B'()+_,-./:=?\n"+part+"--B'()+_,-./:=?--\n")},
		{"an encoded multipart", typed("multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n", base64.StdEncoding.EncodeToString([]byte("--b\n"+part+"--b--"))+"\n")},
		{"a digest", typed("multipart/digest; boundary=b", "--b\n\nSubject: un\n\nUn\n--b\nContent-Type: text/plain\n\ndeux\n--b--\n")},
		{"a message inside", typed("message/rfc822", inner)},
		{"an empty message inside", typed("message/rfc822", "")},
		{"an encoded message inside", typed("message/rfc822\nContent-Transfer-Encoding: base64\n", base64.StdEncoding.EncodeToString([]byte(inner))+"\n")},
		{"messages in parts", typed("multipart/mixed; boundary=m", "--m\nContent-Type: message/rfc822\n\n"+inner+"\n--m\nContent-Type: message/rfc822\nContent-Disposition: inline\n\nSubject: é\n\n--m--\n")},
		{"an international message inside", typed("multipart/mixed; boundary=m", "--m\nContent-Type: message/global\n\nFrom: Zoé <zoé@hôpital.fr>\nSubject: Résultat\n\nÉté\n--m\nContent-Type: message/global-headers\n\nSubject: Résultat\n\n--m--\n")},
		{"an international message alone", typed("Message/Global", "Subject: Résultat\n\nÉté\n")},
		{"an international report", typed("multipart/report; report-type=delivery-status; boundary=r", "--r\n"+part+"--r\nContent-Type: message/global-delivery-status\n\nReporting-MTA: dns; x\n\nOriginal-Recipient: utf-8; zoé@hôpital.fr\n--r\nContent-Type: message/global-headers\n\nSubject: été\n--r--\n")},
		{"a report", typed("multipart/report; report-type=delivery-status; boundary=r", "--r\n"+part+"--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n--r\nContent-Type: text/rfc822-headers\n\nSubject: x\n--r--\n")},
		{"signed", typed("multipart/signed; micalg=sha-256; protocol=\"application/pkcs7-signature\"; boundary=s", "--s\n"+part+"--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nAAAA\n--s--\n")},
	}
}

func largeMessages() []awkward {
	deep := "Content-Type: text/plain\n\nfond\n"
	for i := range 60 {
		deep = fmt.Sprintf("Content-Type: multipart/mixed; boundary=n%dx\n\n--n%[1]dx\n%s\n--n%[1]dx--\n", i, deep)
	}
	messages := "Subject: fond\n\nfond\n"
	for i := range 40 {
		messages = fmt.Sprintf("Subject: %d\nContent-Type: message/rfc822\n\n%s", i, messages)
	}
	parts := "Content-Type: multipart/mixed; boundary=p\n\n" + strings.Repeat("--p\nContent-Type: text/plain\n\nx\n", 1000) + "--p--\n"
	return []awkward{
		{"deep parts", crlf("Subject: profond\n" + deep)},
		{"deep messages", crlf(messages)},
		{"many parts", crlf("Subject: parties\n" + parts)},
		{"a header of a megabyte", headed("X-Long: " + strings.Repeat("é 0123456789\n ", 1<<20/14) + "fin\nSubject: long")},
		{"a line of a megabyte", headed("X-Line: " + strings.Repeat("0123456789abcdef", 1<<20/16))},
		{"a subject of 100 KB", headed("Subject: " + strings.Repeat("sujet \"long\" ", 100<<10/13))},
		{"many headers", headed(strings.Repeat("Received: from a by b; hier\n", 10_000) + "Subject: reçu")},
		{"many recipients", headed("Cc: " + strings.Repeat("\"Nom, P\" <n.p@sapins.fr>,\n ", 5000) + "fin@sapins.fr")},
		{"a long body line", headed("Subject: ligne") + strings.Repeat("é", 200<<10)},
	}
}
