package trust

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"
)

// Limits on fetching the list.
const (
	fetchTimeout  = 5 * time.Minute  // of all of it
	headerTimeout = 30 * time.Second // until the server begins to answer
	maxRedirects  = 3
	maxChecksum   = 4 << 10
)

// sumSuffix is what the name of the checksum's file ends in.
const sumSuffix = ".sha256"

// fetch answers the octets of the list, checked against the checksum beside it when there is one.
func (k *Keeper) fetch(ctx context.Context) ([]byte, error) {
	read := readFile
	source := k.opt.File
	if k.opt.URL != "" {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		client := k.client()
		defer client.CloseIdleConnections()
		read = func(url string, limit int64) ([]byte, error) { return get(ctx, client, url, limit) }
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

// client trusts the pinned authority alone, and keeps no connection.
func (k *Keeper) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: k.opt.Roots},
			ResponseHeaderTimeout: headerTimeout,
			TLSHandshakeTimeout:   headerTimeout,
			DisableKeepAlives:     true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > maxRedirects {
				return errors.New("the server sends us elsewhere")
			}
			return nil
		},
	}
}

// get fetches a URL; what is not there is fs.ErrNotExist.
func get(ctx context.Context, client *http.Client, url string, limit int64) (content []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	switch resp.StatusCode {
	case http.StatusOK:
		return readLimited(resp.Body, limit)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%s: %w", resp.Status, fs.ErrNotExist)
	}
	return nil, fmt.Errorf("the server answers %s", resp.Status)
}
