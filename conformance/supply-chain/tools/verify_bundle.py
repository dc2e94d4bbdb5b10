"""Verifies a bundle as sigstore-python does: TRUSTED_ROOT BUNDLE IDENTITY ISSUER. Prints the payload's type."""
import pathlib
import sys

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

root, bundle, identity, issuer = sys.argv[1:]
verifier = Verifier(trusted_root=TrustedRoot.from_file(root))
kind, _ = verifier.verify_dsse(
    Bundle.from_json(pathlib.Path(bundle).read_text()),
    policy.Identity(identity=identity, issuer=issuer),
)
print(kind)
