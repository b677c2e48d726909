package configs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile bounds one configuration file: a million accounts fit, a log file given by mistake does not.
const maxFile = 256 << 20

// File is a configuration file as it was read; Name is printed with every problem.
type File struct {
	Name string
	Data []byte
}

// ReadFiles reads the file at path, or, when path is a folder, each *.yaml in it in order of name, but for hidden ones, which are those
// of editors at work; one *.yml is warned of. What cannot be read is a problem of that file; a folder without any is one too.
func ReadFiles(path string) ([]File, Problems) {
	var problems Problems
	info, err := os.Stat(path)
	if err != nil {
		problems.Add(Pos{File: path}, "", "%v", cause(err))
		return nil, problems
	}
	names := []string{path}
	if info.IsDir() {
		entries, err := os.ReadDir(path) // in order of name
		if err != nil {
			problems.Add(Pos{File: path}, "", "%v", cause(err))
			return nil, problems
		}
		names = names[:0]
		for _, entry := range entries {
			name := filepath.Join(path, entry.Name())
			switch extension := filepath.Ext(name); {
			case entry.IsDir() || entry.Name()[0] == '.':
			case extension == ".yaml":
				names = append(names, name)
			case extension == ".yml":
				problems.Warn(Pos{File: name}, "rename it to *.yaml", "not read: of a folder, only files *.yaml are")
			}
		}
		if len(names) == 0 {
			problems.Add(Pos{File: path}, "", "the folder holds no *.yaml file")
		}
	}
	files := make([]File, 0, len(names))
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			problems.Add(Pos{File: name}, "", "%v", cause(err))
			continue
		}
		files = append(files, File{Name: name, Data: data})
	}
	return files, problems
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, errors.New("the file is larger than 256 MiB")
	}
	return data, nil
}

// cause drops the path from a file system error: the problem names it already.
func cause(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
