package extraction

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Limits on what is opened. The real file has 89 MB, its ZIP 20 MB.
const (
	maxPacked   = 512 << 20
	maxUnpacked = 2 << 30
	// maxDirectory bounds the memory that the list of an archive's members takes: there is one.
	maxDirectory = 1 << 20
)

// A File is an extraction on disk.
type File struct {
	*Reader
	Name string    // of the text, without folder: in a ZIP the member's
	Date time.Time // when it was made, as the name tells; zero where it does not

	total  int64
	read   atomic.Int64
	closed []io.Closer
}

// Open opens a file, which is plain text or a ZIP with the text in it, whatever it is called, and reads the header. Its errors name the file.
func Open(name string) (*File, error) {
	f, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the extraction %s: %w", name, err)
	}
	return f, nil
}

func open(name string) (_ *File, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f := &File{Name: filepath.Base(name), closed: []io.Closer{file}}
	defer func() {
		if err != nil {
			f.Close() //nolint:errcheck // it was only read
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	var start [4]byte
	if n, err := file.ReadAt(start[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if magic := string(start[:n]); magic == "PK\x03\x04" || magic == "PK\x05\x06" {
		return f, f.openZIP(file, info.Size())
	}
	return f, f.begin(file, info.Size(), false)
}

// begin reads the header of the text.
func (f *File) begin(text io.Reader, size int64, vouched bool) (err error) {
	if size > maxUnpacked {
		return fmt.Errorf("%w: it has %d octets, and more than %d are not read", ErrFormat, size, maxUnpacked)
	}
	f.total = size
	f.Date, _ = NameDate(f.Name)
	f.Reader, err = newReader(io.TeeReader(text, (*counter)(&f.read)), vouched)
	return err
}

func (f *File) openZIP(file io.ReaderAt, size int64) error {
	if size > maxPacked {
		return fmt.Errorf("%w: the ZIP has %d octets, and more than %d are not read", ErrFormat, size, maxPacked)
	}
	budget := &budgeted{ReaderAt: file, left: maxDirectory}
	archive, err := zip.NewReader(budget, size)
	switch {
	case errors.Is(err, errBudget), errors.Is(err, zip.ErrInsecurePath):
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case err != nil:
		return fmt.Errorf("%w: its table of contents cannot be read: %w", ErrTruncated, err)
	}
	budget.left = math.MaxInt64 // it has done its work
	text, err := member(archive.File)
	if err != nil {
		return err
	}
	outer := f.Name
	f.Name = path.Base(text.Name)
	content, err := text.Open()
	switch {
	case errors.Is(err, zip.ErrAlgorithm):
		return fmt.Errorf("%w: %s is packed in a way that is not known here", ErrFormat, f.Name)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	f.closed = append(f.closed, content)
	if text.UncompressedSize64 > maxUnpacked {
		return fmt.Errorf("%w: %s would have %d octets, and more than %d are not unpacked", ErrFormat, f.Name, text.UncompressedSize64, maxUnpacked)
	}
	// The archive's reader lets through no more than the size it names, and checks the sum at the end: the text is whole or an error comes.
	if err := f.begin(content, int64(text.UncompressedSize64), true); err != nil { //nolint:gosec // bounded above
		return err
	}
	if f.Date.IsZero() {
		f.Date, _ = NameDate(outer)
	}
	return nil
}

// member finds the text among the files of an archive.
func member(files []*zip.File) (*zip.File, error) {
	var named, texts []*zip.File
	for _, f := range files {
		name := strings.ToLower(path.Base(f.Name))
		if f.Mode().IsRegular() && strings.HasSuffix(name, ".txt") {
			texts = append(texts, f)
			if strings.HasPrefix(name, strings.ToLower(namePrefix)) {
				named = append(named, f)
			}
		}
	}
	if len(named) > 0 {
		texts = named
	}
	switch {
	case len(texts) == 0:
		return nil, fmt.Errorf("%w: the ZIP holds no text (%s…%s)", ErrFormat, namePrefix, nameSuffix)
	case len(texts) > 1:
		return nil, fmt.Errorf("%w: the ZIP holds %d texts that could be it, %q and %q among them", ErrFormat, len(texts), texts[0].Name, texts[1].Name)
	case texts[0].Flags&1 != 0:
		return nil, fmt.Errorf("%w: %q is encrypted", ErrFormat, texts[0].Name)
	}
	return texts[0], nil
}

// Progress answers how many octets of the text have been read, and how many there are. It may be called while rows are read.
func (f *File) Progress() (read, total int64) { return f.read.Load(), f.total }

// Close lets the file go.
func (f *File) Close() error {
	var first error
	for _, c := range slices.Backward(f.closed) {
		if err := c.Close(); first == nil {
			first = err
		}
	}
	f.closed = nil
	return first
}

type counter atomic.Int64

func (c *counter) Write(p []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(p)))
	return len(p), nil
}

var errBudget = errors.New("the ZIP has too many members")

// budgeted lets so many octets be read.
type budgeted struct {
	io.ReaderAt
	left int64
}

func (b *budgeted) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBudget
	}
	return b.ReaderAt.ReadAt(p, off)
}

// The name of the file.
const (
	namePrefix = "Extraction_Correspondance_MSSante_"
	nameSuffix = ".txt"
	nameDate   = "200601021504"
)

// dated is a name that ends in a date, as text or packed.
var dated = regexp.MustCompile(`(?i)_([0-9]{12})\.(txt|zip)$`)

// FileName is how the file of a moment is called.
func FileName(made time.Time) string {
	return namePrefix + made.In(paris()).Format(nameDate) + nameSuffix
}

// NameDate answers the moment in the name of a file, or of a ZIP, and whether there is one.
func NameDate(name string) (time.Time, bool) {
	found := dated.FindStringSubmatch(name)
	if found == nil {
		return time.Time{}, false
	}
	made, err := time.ParseInLocation(nameDate, found[1], paris())
	return made, err == nil
}

// paris is the time of those who make the file. Without a time zone database it is an hour off in summer, which matters to nobody who asks for the age
// of a daily file.
func paris() *time.Location {
	if zone, err := time.LoadLocation("Europe/Paris"); err == nil {
		return zone
	}
	return time.FixedZone("CET", int(time.Hour/time.Second))
}
