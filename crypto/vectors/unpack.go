// Command unpack writes one bzip2 file to its standard output: the form in which the ACVP vectors are published.
package main

import (
	"compress/bzip2"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := unpack(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func unpack(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: unpack FILE")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(os.Stdout, bzip2.NewReader(file))
	return err
}
