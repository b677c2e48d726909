package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxChecksum is more than any checksum with a name needs.
const maxChecksum = 4 << 10

// A Fetcher takes what others publish over HTTPS. What is not there is fs.ErrNotExist, and more octets than limit are an error.
type Fetcher interface {
	Fetch(ctx context.Context, url string, limit int64) ([]byte, error)
}

// sumSuffix is what the name of the checksum's file ends in.
const sumSuffix = ".sha256"

// fetch answers the octets of the list, checked against the checksum beside it when there is one.
func (k *Keeper) fetch(ctx context.Context) ([]byte, error) {
	read := readFile
	source := k.opt.File
	if k.opt.URL != "" {
		read = func(url string, limit int64) ([]byte, error) { return k.opt.Fetcher.Fetch(ctx, url, limit) }
		source = k.opt.URL
	}
	content, err := read(source, maxList)
	if err != nil {
		return nil, err
	}
	sum, err := read(sumSource(source, k.opt.URL != ""), maxChecksum)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content, nil
	case err != nil:
		return nil, fmt.Errorf("the checksum: %w", err)
	}
	return content, checkSum(content, string(sum))
}

// sumSource is where the checksum of a list is: the query of a URL stays behind its path.
func sumSource(source string, isURL bool) string {
	if !isURL {
		return source + sumSuffix
	}
	path, query, asked := strings.Cut(source, "?")
	if asked {
		query = "?" + query
	}
	return path + sumSuffix + query
}

// checkSum compares with what sha256sum writes: the digits, and perhaps a name behind them.
func checkSum(content []byte, sum string) error {
	fields := strings.Fields(sum)
	if len(fields) == 0 || len(fields[0]) != hex.EncodedLen(sha256.Size) {
		return errors.New("the checksum beside the list is none")
	}
	want := sha256.Sum256(content)
	if !strings.EqualFold(fields[0], hex.EncodeToString(want[:])) {
		return errors.New("the list is not the one that its checksum was made of")
	}
	return nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return readLimited(f, limit)
}

func readLimited(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it is larger than %d octets", limit)
	}
	return content, err
}
