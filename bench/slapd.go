package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// The names of the entries that slapd gets, which are those of balorg.
const (
	ldapBase     = ldapserver.DefaultSuffix
	nationalBase = "ou=" + directory.National + "," + ldapBase
	slapdUser    = "uid=bench," + ldapBase
)

// slapdConfig is a slapd with Debian's module and schemas, and ours. Everything that is not said is as it comes: 16 threads, an index of substrings of four.
const slapdConfig = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include %[1]s/mssante.schema
pidfile %[1]s/pid
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit 200
loglevel 0
%[2]s
database mdb
directory %[1]s/data
maxsize 8589934592
suffix "` + ldapBase + `"
rootdn "cn=nobody"
access to attrs=userPassword by * auth
access to * by * read
index objectClass eq
index cn,sn,givenName,mail eq,pres,sub
index IdentifiantPP eq
%[3]s
`

// Both have what address books look in; the tuned one finds three letters by their index as well, has an index for each field of the hospital's form, and is loaded by two
// threads.
const (
	stockGlobals  = ""
	stockIndexes  = ""
	tunedGlobals  = "index_substr_if_minlen 3\nindex_substr_any_len 3\ntool-threads 2"
	tunedIndexes  = "index TypeBAL,profession,l,TypeIdentifiantPP,IdentifiantPM,TypeIdentifiantPM,o,description eq"
	ownDefinition = "( 2.25." // how the descriptions of our own attributes and classes begin
)

// slapdSchema is what no schema of Debian's has.
func slapdSchema() string {
	var b strings.Builder
	for _, of := range []struct {
		word string
		list []string
	}{{"attributetype", schema.DescribeAttributes()}, {"objectclass", schema.DescribeClasses()}} {
		for _, d := range of.list {
			if strings.HasPrefix(d, ownDefinition) {
				fmt.Fprintf(&b, "%s %s\n", of.word, d)
			}
		}
	}
	return b.String()
}

// writeLDIF writes the entries of an extraction, with those above them and the user who logs in, and answers the former.
func writeLDIF(path, extraction string) (all [][]entry.Attribute, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	secret, err := salted(password)
	if err != nil {
		return nil, err
	}
	dc, _, _ := strings.Cut(strings.TrimPrefix(ldapBase, "dc="), ",")
	fmt.Fprintf(w, "dn: %s\nobjectClass: organization\nobjectClass: dcObject\no: %s\ndc: %[2]s\n\n", ldapBase, dc)             //nolint:errcheck // Flush answers the error
	fmt.Fprintf(w, "dn: %s\nobjectClass: organizationalUnit\nou: %s\n\n", nationalBase, directory.National)                    //nolint:errcheck // as above
	fmt.Fprintf(w, "dn: %s\nobjectClass: account\nobjectClass: simpleSecurityObject\nuserPassword: %s\n\n", slapdUser, secret) //nolint:errcheck // as above
	err = directory.ReadEntries(extraction, func(attributes []entry.Attribute) error {
		all = append(all, attributes)
		e := entry.Entry{Attributes: attributes}
		e.Set(schema.ObjectClass, schema.MailboxClasses()...)
		e.DN = "mail=" + e.Values(schema.Mail)[0] + "," + nationalBase
		return writeEntry(w, &e)
	})
	return all, errors.Join(err, w.Flush())
}

// writeEntry writes an entry as LDIF, with every value that is not plainly harmless in base64 (RFC 2849).
func writeEntry(w io.Writer, e *entry.Entry) error {
	var b strings.Builder
	line := func(name, value string) {
		for i := range len(value) {
			if c := value[i]; c < ' ' || c > '~' || (c == ' ' && (i == 0 || i == len(value)-1)) || (i == 0 && (c == ':' || c == '<')) {
				b.WriteString(name + ":: " + base64.StdEncoding.EncodeToString([]byte(value)) + "\n")
				return
			}
		}
		b.WriteString(name + ": " + value + "\n")
	}
	line("dn", e.DN)
	for _, a := range e.Attributes {
		for _, v := range a.Values {
			line(a.Type.Name(), v)
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// salted is how slapd keeps passwords by default.
func salted(password string) (string, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	sum := sha1.Sum(append([]byte(password), salt...))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...)), nil
}

// loadSlapd makes a slapd's database, without syncing while it does, and tells what that took.
func (b *bench) loadSlapd(name, globals, indexes, ldif string) (config string, m measure, err error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return "", m, err
	}
	config = filepath.Join(dir, "slapd.conf")
	for file, text := range map[string]string{"slapd.conf": fmt.Sprintf(slapdConfig, dir, globals, indexes), "mssante.schema": slapdSchema()} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return "", m, err
		}
	}
	start := time.Now()
	load := exec.CommandContext(b.ctx, "slapadd", "-q", "-f", config, "-l", ldif)
	if out, err := load.CombinedOutput(); err != nil {
		return "", m, fmt.Errorf("loading %s: %w\n%s", name, err, out)
	}
	return config, measure{time.Since(start), load.ProcessState.UserTime() + load.ProcessState.SystemTime()}, nil
}

// startSlapd starts one on the database that it has.
func (b *bench) startSlapd(name, config string) (*server, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, ldap: "127.0.0.1:" + strconv.Itoa(ports[0]), user: slapdUser, password: password, silent: true}
	if err := b.start(s, "slapd", "-f", config, "-h", "ldap://"+s.ldap, "-d", "0"); err != nil {
		return nil, err
	}
	return s, b.answers(s, func() error {
		c, err := b.bind(s)
		if err != nil {
			return err
		}
		return c.Close()
	})
}
