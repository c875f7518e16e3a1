// Reads deployment files with the loaders of those who will read them in earnest.
//
//	manifests compose FILE         loads a Compose file as Compose does, and prints it resolved
//	manifests values KEYS FILE...  holds Helm values against a list of keys that the chart knows
//	manifests json FILE            a stream of YAML documents as JSON, one a line
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"gopkg.in/yaml.v3"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "compose":
		return compose(arguments[1])
	case len(arguments) >= 3 && arguments[0] == "values":
		return values(arguments[1], arguments[2:])
	case len(arguments) == 2 && arguments[0] == "json":
		return documents(arguments[1])
	}
	return errors.New("usage: manifests compose FILE | values KEYS FILE... | json FILE")
}

func compose(path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)),
		cli.WithEnv(os.Environ()), cli.WithDefaultProfiles("*"))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

func values(list string, files []string) error {
	known, err := keys(list)
	if err != nil {
		return err
	}
	var unknown []error
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var tree any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		walk("", tree, func(key string) {
			if !known.covers(key) {
				unknown = append(unknown, fmt.Errorf("%s: the chart does not know %s", path, key))
			}
		})
	}
	return errors.Join(unknown...)
}

// known holds key paths: true for those that may have anything below.
type known map[string]bool

func (k known) covers(key string) bool {
	if _, exact := k[key]; exact {
		return true
	}
	for at := len(key); at > 0; at = strings.LastIndex(key[:at], ".") {
		if k[key[:at]] || k[strings.TrimSuffix(key[:at], "[]")] {
			return true
		}
	}
	return false
}

func keys(path string) (known, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	list := known{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		base, open := strings.CutSuffix(line, ".*")
		list[base] = open
	}
	return list, nil
}

// walk tells every leaf's path. Items of a list stand under `path[]`.
func walk(path string, node any, leaf func(string)) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			walk(strings.TrimPrefix(path+"."+key, "."), value, leaf)
		}
	case []any:
		for _, item := range node {
			if _, nested := item.(map[string]any); nested {
				walk(path+"[]", item, leaf)
			} else {
				leaf(path + "[]")
			}
		}
	default:
		leaf(path)
	}
}

func documents(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder, encoder := yaml.NewDecoder(file), json.NewEncoder(os.Stdout)
	for {
		var document any
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if document != nil {
			if err := encoder.Encode(document); err != nil {
				return err
			}
		}
	}
}
