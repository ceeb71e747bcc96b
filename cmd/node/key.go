package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/wire"
)

// Kinds of keys.
const (
	serviceKind  = "service"
	operatorKind = "operator"
	stakerKind   = "staker"
)

func keyCommand() *cobra.Command {
	group := &cobra.Command{Use: "key", Short: "Make keys", Example: `  proctor key new service.key`}
	group.AddCommand(keyNewCommand())
	return group
}

func keyNewCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key file and print its public key",
		Long: `Make a key file, which only its owner can read, and print the public key as the
registry shows it. A file that exists is not overwritten. The kinds are
  service   the node's identity towards its peers; seals proofs and votes (Ed25519)
  operator  signs votes, and the events update-service and revoke (BLS12-381)
  staker    owns stake; signs register, contribute and exit (Ed25519)
A node needs the first two. A staker's key belongs on another machine.

Exit codes: 0 made, 1 the file cannot be made, 2 the input cannot be used.`,
		Example: `  proctor key new service.key
  proctor key new operator.key --kind operator
  proctor key new staker.key --kind staker`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			maker, known := keyMakers[kind]
			if !known {
				return unusable{fmt.Errorf("--kind: %.40q is unknown; known: %s", kind, strings.Join([]string{serviceKind, operatorKind, stakerKind}, ", "))}
			}
			public, err := maker(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), public)
			return err
		},
	}
	c.Flags().StringVar(&kind, "kind", serviceKind, "service, operator or staker")
	return c
}

// keyMakers write new keys of a kind to a file and return their public halves.
var keyMakers = map[string]func(path string) (fmt.Stringer, error){
	serviceKind: func(path string) (fmt.Stringer, error) {
		public, err := newEd25519(path)
		return wire.ServiceKey(public), err
	},
	operatorKind: func(path string) (fmt.Stringer, error) {
		var seed [32]byte
		rand.Read(seed[:]) // never fails: package crypto/rand ends the process instead
		key := bls.GenerateSecretKey(seed)
		return wire.OperatorKey(key.PublicKey().Bytes()), config.WriteOperatorKey(path, key)
	},
	stakerKind: func(path string) (fmt.Stringer, error) {
		public, err := newEd25519(path)
		return wire.StakerKey(public), err
	},
}

func newEd25519(path string) ([ed25519.PublicKeySize]byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return [ed25519.PublicKeySize]byte{}, err
	}
	return [ed25519.PublicKeySize]byte(public), config.WriteServiceKey(path, private)
}
