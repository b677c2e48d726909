package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// bigFolder is one that somebody never tidied up.
const bigFolder = "big"

// What is searched for in it: a drug that one message in so many names, and one that none does.
const (
	rareWord  = "amoxicilline"
	rareEvery = 5_000
	noWord    = "zopiclone"
)

// bigRows are about that folder. Those that need an extension are left out where a server has not got it.
func (b *bench) bigRows() []row {
	rows := []row{
		selectRow(),
		{"big: FLAGS of all", "messages", func(n sizes) float64 { return float64(n.big) }, inFolder(bigFolder, func(c *conn, n sizes) error {
			got, err := c.do("FETCH 1:* (FLAGS)")
			if err == nil && got < n.big {
				err = fmt.Errorf("%d responses for %d messages", got, n.big)
			}
			return err
		})},
		searchRow("big: SEARCH flags", bigFolder, `UNSEEN UNDELETED NOT ANSWERED SMALLER 100`),
		searchRow("big: SEARCH header", bigFolder, `OR FROM "person4242@" SUBJECT "dossier 4242 "`),
		searchRow("big: SEARCH text, in few", bigFolder, "TEXT "+rareWord),
		searchRow("big: SEARCH text, in none", bigFolder, "TEXT "+noWord),
		{"big: SORT", "messages", func(n sizes) float64 { return float64(n.big) }, inFolder(bigFolder, func(c *conn, _ sizes) error {
			_, err := c.do("SORT (REVERSE DATE SUBJECT) UTF-8 ALL")
			return err
		})},
		{"big: THREAD", "messages", func(n sizes) float64 { return float64(n.big) }, inFolder(bigFolder, func(c *conn, _ sizes) error {
			_, err := c.do("THREAD REFERENCES UTF-8 ALL")
			return err
		})},
	}
	return rows
}

// offered are the trials whose extension all servers have.
func offered(b *bench, servers []*server, trials []trial) (kept []trial, err error) {
	needs := map[string]string{"big: SORT": "SORT", "big: THREAD": "THREAD=REFERENCES"}
	missing := map[string]bool{}
	for _, s := range servers {
		c, err := b.login(s, false)
		if err != nil {
			return nil, err
		}
		caps, err := c.capabilities()
		if err := errors.Join(err, c.Close()); err != nil {
			return nil, err
		}
		for title, capability := range needs {
			missing[title] = missing[title] || !caps[capability]
		}
	}
	for _, t := range trials {
		if missing[t.title] {
			fmt.Fprintf(b.out, "%s: not every server has %s\n", t.title, needs[t.title]) //nolint:errcheck // the terminal is gone
			continue
		}
		kept = append(kept, t)
	}
	return kept, nil
}

// capabilities answers what the server says that it can do.
func (c *conn) capabilities() (map[string]bool, error) {
	tag, err := c.send("CAPABILITY")
	if err != nil {
		return nil, err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	caps := map[string]bool{}
	for name := range strings.FieldsSeq(line) {
		caps[name] = true
	}
	_, err = c.await(tag)
	return caps, err
}

// selectRow opens the folder on a connection that has nothing open.
func selectRow() row {
	return row{"big: SELECT", "messages", func(n sizes) float64 { return float64(n.big) }, inFolder(emptyFolder, func(c *conn, _ sizes) error {
		for _, command := range []string{"UNSELECT", "SELECT " + bigFolder} {
			if _, err := c.do(command); err != nil {
				return err
			}
		}
		return nil
	})}
}

// fillers are the sessions that fill the big folder.
const fillers = 4

// fillBig puts the messages into the big folder, many with each command where the server takes that.
func (b *bench) fillBig(s *server) error {
	var conns []*conn
	defer func() {
		for _, c := range conns {
			c.Close() //nolint:errcheck // everything was answered
		}
	}()
	for range fillers {
		c, err := b.login(s, false)
		if err != nil {
			return err
		}
		conns = append(conns, c)
	}
	caps, err := conns[0].capabilities()
	if err != nil {
		return err
	}
	if _, err := conns[0].do("CREATE " + bigFolder); err != nil {
		return err
	}
	if caps["MULTIAPPEND"] {
		conns = conns[:1] // the others would wait for it
	}
	firsts := make(chan int, b.sizes.big/window+1)
	for first := 0; first < b.sizes.big; first += window {
		firsts <- first
	}
	close(firsts)
	return together(conns, func(c *conn) error {
		for first := range firsts {
			if err := c.appendLetters(first, min(window, b.sizes.big-first), caps["MULTIAPPEND"]); err != nil {
				return err
			}
		}
		return nil
	})
}

// appendLetters appends some, all with one command or a command each, without waiting in between.
func (c *conn) appendLetters(first, count int, together bool) error {
	var b bytes.Buffer
	var tags []string
	for i := first; i < first+count; i++ {
		m := letter(i)
		if i == first || !together {
			tags = append(tags, "l"+strconv.Itoa(i))
			fmt.Fprintf(&b, "l%d APPEND %s", i, bigFolder)
		}
		fmt.Fprintf(&b, " {%d+}\r\n%s", len(m), m)
		if i == first+count-1 || !together {
			b.WriteString("\r\n")
		}
	}
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(b.Bytes())
		sent <- err
	}()
	for _, tag := range tags {
		if _, err := c.await(tag); err != nil {
			return err
		}
	}
	return <-sent
}

// letterWords is how long a letter is: some 2 KB.
const letterWords = 190

// vocabulary is what letters are made of.
const vocabulary = `patient patiente consultation douleur traitement examen clinique biologique radiologique scanner résonance échographie tension artérielle diabète insuline
cardiologie pneumologie néphrologie urologie hépatique rénale fonction créatinine hémoglobine plaquettes leucocytes glycémie cholestérol antécédents allergie chirurgie
intervention anesthésie hospitalisation sortie entrée urgence service secrétariat médecin généraliste spécialiste confrère courrier dossier résultats joints compte-rendu
ordonnance posologie comprimé gélule matin soir semaine mois année suivi contrôle rendez-vous prévu proposé réalisé normal anormal stable aggravation amélioration évolution
favorable défavorable symptômes fièvre toux dyspnée asthénie œdème membre inférieur supérieur gauche droit bilatéral thoracique abdominal lombaire cervical crânien fracture
entorse luxation prothèse hanche genou cheville épaule poignet rééducation kinésithérapie infirmière domicile pansement cicatrisation infection antibiotique sensibilité
prélèvement culture positif négatif sérologie vaccination rappel dépistage mammographie coloscopie biopsie histologie tumeur bénigne maligne chimiothérapie radiothérapie
protocole réunion concertation pluridisciplinaire décision famille entourage aidant autonomie dépendance maintien établissement maison retraite tutelle assurance mutuelle
certificat arrêt travail prolongation reprise temps partiel thérapeutique invalidité expertise avis complémentaire merci cordialement confraternellement bien sincèrement` //nolint:misspell // French

// letter is the i-th message of the big folder: written of a vocabulary, as what people write is, and now and then of what is searched for.
func letter(i int) string {
	words := strings.Fields(vocabulary)
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <person%d@medecin.mssante.fr>\r\nReceived: from relay.example.net by mail.example.net with ESMTPS id %[1]d\r\n\tfor <secretariat@sapins.mssante.fr>; Mon, 23 Nov 2026 10:00:00 +0100\r\n"+
		"Date: Mon, %d Nov 2026 %02d:%02d:%02d +0100\r\nFrom: Dr Person %[1]d <person%[1]d@medecin.mssante.fr>\r\nTo: =?utf-8?q?Secr=C3=A9tariat?= <secretariat@sapins.mssante.fr>\r\n"+
		"Subject: =?utf-8?q?R=C3=A9sultats_du_dossier_%[1]d_du_service?=\r\nMessage-ID: <%[1]d.letter@medecin.mssante.fr>\r\n", i, 1+i%28, i%24, i/24%60, i/7%60)
	if i%3 == 2 {
		fmt.Fprintf(&b, "References: <%d.letter@medecin.mssante.fr>\r\nIn-Reply-To: <%[1]d.letter@medecin.mssante.fr>\r\n", i-2)
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	line := 0
	state := uint64(i)*0x9e3779b97f4a7c15 + 1
	for k := range letterWords {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		word := words[state%uint64(len(words))]
		if k == letterWords/2 {
			word = strconv.Itoa(10_000_000 + i*7%90_000_000)
		}
		if i%rareEvery == 77 && k == 100 {
			word = rareWord
		}
		if line += len(word) + 1; line > 72 {
			b.WriteString("\r\n")
			line = len(word)
		}
		b.WriteString(word + " ")
	}
	b.WriteString("\r\n")
	return b.String()
}
