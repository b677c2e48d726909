// Package amend changes what the administrator's files of accounts and delegations say, for commands. It knows the keys of the files and
// which entry a change is about; configs/edit knows the text. A Draft holds changes until Files answers the files as they would
// be: whether those make a good roster is for policy.Load to say.
package amend

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"balorg/configs"
	"balorg/configs/edit"
	"balorg/mail"
)

// Keys are those of an account, in the order in which a new one gets them. Each holds one text; finess, siret and siren stand under
// structure in the file.
func Keys() []string {
	return []string{
		"address", "kind", "nom", "prenom", "titre", "description", "service", "rpps", "adeli", "profession", "mssante", "red_list",
		"responsible", "finess", "siret", "siren", "notify", "mailstore", "state", "sender", "admin", "quota", "language",
	}
}

// structures are the keys that stand under structure.
func structures() []string { return []string{"finess", "siret", "siren"} }

// Fields are texts by key. An empty one takes the key out of the file.
type Fields map[string]string

// Grant is a delegation as the file has it; what is empty is left out.
type Grant struct {
	Person                        mail.Address
	Rights, Send, Default, Notify string
}

// Draft is a set of files and the changes to be made to them.
type Draft struct {
	accounts, delegations []*document
	byAddress             map[mail.Address]*edit.Item // identifiers and MSSanté addresses
	identifiers           map[*edit.Item]mail.Address
	added                 map[mail.Address]bool
	mailboxes             map[mail.Address][]*mailbox
	target                *document // gets new accounts
}

type document struct {
	file configs.File
	doc  *edit.Document
	list *edit.List
}

// mailbox is an entry of the delegations, in the file or to be added to it.
type mailbox struct {
	item   *edit.Item // nil: it is new
	list   *edit.List
	grants map[mail.Address]*edit.Item
	left   int // grants of the file that are not removed, and those added
	added  []Grant
	file   *document
}

// NewDraft reads the files. Those that are no YAML, or YAML that is not allowed here, are answered as configs.Problems.
func NewDraft(accounts, delegations []configs.File) (*Draft, error) {
	d := &Draft{
		byAddress: map[mail.Address]*edit.Item{}, identifiers: map[*edit.Item]mail.Address{}, added: map[mail.Address]bool{},
		mailboxes: map[mail.Address][]*mailbox{},
	}
	var err error
	if d.accounts, err = open(accounts, "accounts"); err != nil {
		return nil, err
	}
	if d.delegations, err = open(delegations, "delegations"); err != nil {
		return nil, err
	}
	for _, doc := range d.accounts {
		d.target = doc
		for _, item := range doc.list.Items() {
			d.note(item)
		}
	}
	for _, doc := range d.delegations {
		for _, item := range doc.list.Items() {
			d.noteMailbox(doc, item)
		}
	}
	return d, nil
}

func open(files []configs.File, key string) ([]*document, error) {
	var all []*document
	var problems configs.Problems
	for _, file := range files {
		doc, err := edit.Open(file)
		if err != nil {
			found, ok := err.(configs.Problems) //nolint:errorlint // Open answers them bare
			if !ok {
				return nil, err
			}
			problems = append(problems, found...)
			continue
		}
		all = append(all, &document{file, doc, doc.List(key)})
	}
	return all, problems.Err()
}

func (d *Draft) note(item *edit.Item) {
	address, ok := addressOf(item, "address")
	if !ok {
		return
	}
	d.identifiers[item] = address
	d.byAddress[address] = item
	if mssante, ok := addressOf(item, "mssante"); ok && d.byAddress[mssante] == nil {
		d.byAddress[mssante] = item
	}
}

func (d *Draft) noteMailbox(doc *document, item *edit.Item) {
	address, ok := addressOf(item, "mailbox")
	if !ok {
		return
	}
	m := &mailbox{item: item, list: item.List("accounts"), grants: map[mail.Address]*edit.Item{}, file: doc}
	for _, grant := range m.list.Items() {
		m.left++
		if person, ok := addressOf(grant, "account"); ok {
			m.grants[person] = grant
		}
	}
	d.mailboxes[address] = append(d.mailboxes[address], m)
}

func addressOf(item *edit.Item, key string) (mail.Address, bool) {
	text, _ := item.Get(key)
	address, err := mail.ParseAddress(text)
	return address, err == nil
}

// AddTo has new accounts written to the file of this name, or whose path ends with it.
func (d *Draft) AddTo(name string) error {
	var names []string
	for _, doc := range d.accounts {
		if doc.file.Name == name || strings.HasSuffix(doc.file.Name, "/"+name) {
			d.target = doc
			return nil
		}
		names = append(names, doc.file.Name)
	}
	return fmt.Errorf("%s is no file of accounts; they are %s", name, strings.Join(names, ", "))
}

// Has tells whether there is an account with an identifier or MSSanté address.
func (d *Draft) Has(a mail.Address) bool { return d.byAddress[a] != nil || d.added[a] }

// Identifier is the identifier of the account that has an address.
func (d *Draft) Identifier(a mail.Address) (mail.Address, error) {
	item := d.byAddress[a]
	switch {
	case d.added[a]:
		return a, nil
	case item == nil:
		return "", fmt.Errorf("no account has the address %s", a)
	}
	return d.identifiers[item], nil
}

// AddAccount writes a new account.
func (d *Draft) AddAccount(address mail.Address, f Fields) error {
	switch {
	case d.byAddress[address] != nil:
		return fmt.Errorf("%s belongs to an account already, at %s", address, d.byAddress[address].Pos())
	case d.added[address]:
		return fmt.Errorf("%s is to be added twice", address)
	case d.target == nil:
		return fmt.Errorf("there is no file to write %s to", address)
	}
	d.added[address] = true
	var fields []edit.Field
	for _, key := range Keys() {
		text := f[key]
		if key == "address" {
			text = string(address)
		}
		if text == "" {
			continue
		}
		if inStructure(key) {
			fields = append(fields, edit.Field{Key: "structure", Value: structure(key, text)})
			continue
		}
		fields = append(fields, edit.Field{Key: key, Value: edit.Text(text)})
	}
	d.target.list.Append(false, fields...)
	return nil
}

func inStructure(key string) bool {
	return slices.Contains(structures(), key)
}

func structure(key, text string) edit.Value {
	return edit.Value{Fields: []edit.Field{{Key: key, Value: edit.Text(text)}}}
}

// EditAccount changes keys of an account.
func (d *Draft) EditAccount(a mail.Address, f Fields) error {
	item := d.byAddress[a]
	if item == nil {
		return fmt.Errorf("no account has the address %s", a)
	}
	number, text := "", ""
	for _, key := range Keys() {
		value, named := f[key]
		switch {
		case !named:
		case inStructure(key):
			if value != "" || number == "" {
				number, text = key, value
			}
		case value == "":
			item.Unset(key)
		default:
			if now, ok := item.Get(key); !ok || now != value {
				item.Set(key, edit.Text(value))
			}
		}
	}
	switch {
	case number != "" && text == "":
		item.Unset("structure")
	case number != "":
		if now, ok := item.Get("structure", number); !ok || now != text {
			item.Set("structure", structure(number, text))
		}
	}
	return nil
}

// RemoveAccount takes an account out, with its delegations: as a mailbox and as a person.
func (d *Draft) RemoveAccount(a mail.Address) error {
	item := d.byAddress[a]
	if item == nil {
		return fmt.Errorf("no account has the address %s", a)
	}
	address := d.identifiers[item]
	item.Remove()
	for box, entries := range d.mailboxes {
		for _, m := range entries {
			if box == address && m.item != nil {
				m.item.Remove()
				continue
			}
			m.revoke(address)
		}
	}
	return nil
}

// Grant delegates a mailbox to a person, or changes the delegation there is.
func (d *Draft) Grant(box mail.Address, g Grant) error {
	if len(d.delegations) == 0 {
		return fmt.Errorf("there is no file to write the delegation of %s to", box)
	}
	for _, m := range d.mailboxes[box] {
		if item := m.grants[g.Person]; item != nil {
			for _, f := range g.fields()[1:] {
				if now, _ := item.Get(f.Key); now != f.Value.Text {
					item.Set(f.Key, f.Value)
				}
			}
			return nil
		}
	}
	if len(d.mailboxes[box]) == 0 {
		d.mailboxes[box] = []*mailbox{{file: d.delegations[len(d.delegations)-1]}}
	}
	m := d.mailboxes[box][len(d.mailboxes[box])-1]
	m.left++
	if m.item == nil {
		m.added = append(m.added, g)
		return nil
	}
	m.list.Append(true, g.fields()...)
	return nil
}

func (g Grant) fields() []edit.Field {
	fields := []edit.Field{{Key: "account", Value: edit.Text(string(g.Person))}}
	for _, f := range []struct{ key, text string }{{"rights", g.Rights}, {"send", g.Send}, {"default", g.Default}, {"notify", g.Notify}} {
		if f.text != "" {
			fields = append(fields, edit.Field{Key: f.key, Value: edit.Text(f.text)})
		}
	}
	return fields
}

// Delegate is Grant, with the rights write for a delegation that is new and says none.
func (d *Draft) Delegate(box mail.Address, g Grant) error {
	if g.Rights == "" && !slices.Contains(d.Delegates(box), g.Person) {
		g.Rights = "write"
	}
	return d.Grant(box, g)
}

// Revoke takes a delegation out.
func (d *Draft) Revoke(box, person mail.Address) error {
	found := false
	for _, m := range d.mailboxes[box] {
		found = m.revoke(person) || found
	}
	if !found {
		return fmt.Errorf("%s is not delegated to %s", box, person)
	}
	return nil
}

// Delegates are the persons the files delegate a mailbox to.
func (d *Draft) Delegates(box mail.Address) []mail.Address {
	var all []mail.Address
	for _, m := range d.mailboxes[box] {
		for person := range m.grants {
			all = append(all, person)
		}
	}
	return all
}

func (m *mailbox) revoke(person mail.Address) bool {
	grant := m.grants[person]
	if grant == nil {
		return false
	}
	delete(m.grants, person)
	grant.Remove()
	if m.left--; m.left == 0 {
		m.item.Remove()
	}
	return true
}

// Files are those that change, as they would be; the others are left out.
func (d *Draft) Files() ([]configs.File, error) {
	for _, box := range slices.Sorted(maps.Keys(d.mailboxes)) {
		for _, m := range d.mailboxes[box] {
			if m.item == nil && len(m.added) > 0 {
				var items [][]edit.Field
				for _, g := range m.added {
					items = append(items, g.fields())
				}
				m.file.list.Append(false, edit.Field{Key: "mailbox", Value: edit.Text(string(box))}, edit.Field{Key: "accounts", Value: edit.Value{Items: items}})
				m.added = nil
			}
		}
	}
	var changed []configs.File
	for _, docs := range [][]*document{d.accounts, d.delegations} {
		for _, doc := range docs {
			text, err := doc.doc.Text()
			if err != nil {
				return nil, err
			}
			if string(text) != string(doc.file.Data) {
				changed = append(changed, configs.File{Name: doc.file.Name, Data: text})
			}
		}
	}
	return changed, nil
}
