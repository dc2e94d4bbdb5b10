/** Handshakes that must succeed and handshakes that must be refused, each breaking one rule. */
import { concat, u16, u8, vec16, vec8 } from "./bytes.ts";
import { Ext, TLS12, TLS13, type Extension, type HelloParts } from "./hello.ts";
import type { ClientCredentials, Outcome, Probe, Tamper } from "./prober.ts";
import { Group } from "./share.ts";

/** Alert descriptions (RFC 8446 §6) by their names there. */
const Alert = {
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_expired: 45,
  certificate_unknown: 46,
  illegal_parameter: 47,
  unknown_ca: 48,
  access_denied: 49,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  missing_extension: 109,
  certificate_required: 116,
  no_application_protocol: 120,
} as const;
type AlertName = keyof typeof Alert;

/** What a case needs from its surroundings. */
export interface Surroundings {
  /** Everything done right. */
  readonly good: Probe;
  readonly expired: ClientCredentials;
  readonly stranger: ClientCredentials;
  /** Whether a connection without a client's certificate is refused here. */
  readonly isMutualRequired: boolean;
  /** Whether an offered ALPN must be one the server knows. */
  readonly isAlpnRequired: boolean;
}

/** One handshake and what must come of it. */
export interface HandshakeCase {
  readonly name: string;
  readonly probe: Probe;
  readonly want: Want;
}

export type Want =
  | {
      readonly type: "established";
      readonly group: number;
      readonly suite?: string;
      readonly didRetry?: boolean;
    }
  /** Refused with one of these alerts. */
  | { readonly type: "refused"; readonly alerts: readonly AlertName[] }
  /** Refused in any way: with an alert, or by closing. For bytes from which no TLS peer can be told. */
  | { readonly type: "dropped" };

const HYBRID = Group.x25519MlKem768;
/** Alert names that mean that a certificate is not accepted. */
const CERTIFICATE: readonly AlertName[] = [
  "bad_certificate",
  "unsupported_certificate",
  "certificate_expired",
  "certificate_unknown",
  "unknown_ca",
  "access_denied",
];

/** Every case. */
export function handshakeCases(around: Surroundings): readonly HandshakeCase[] {
  return [
    ...established(around),
    ...brokenShares(around),
    ...brokenHellos(around),
    ...(around.isAlpnRequired ? alpnCases(around.good) : []),
    ...noHellos(around),
    ...brokenProofs(around),
  ];
}

function established({ good }: Surroundings): readonly HandshakeCase[] {
  const group = (name: string, value: Group): HandshakeCase => ({
    name: `a peer that knows only ${name} is served`,
    probe: { ...good, groups: [value], shared: [value] },
    want: { type: "established", group: value },
  });
  const suite = (value: number, name: string): HandshakeCase => ({
    name: `${name} is served`,
    probe: { ...good, suites: [value] },
    want: { type: "established", group: HYBRID, suite: name },
  });
  return [
    {
      name: "X25519MLKEM768 is negotiated",
      probe: good,
      want: { type: "established", group: HYBRID, didRetry: false },
    },
    {
      name: "X25519MLKEM768 is chosen although X25519 is offered first, with a share",
      probe: { ...good, groups: [Group.x25519, HYBRID], shared: [Group.x25519, HYBRID] },
      want: { type: "established", group: HYBRID, didRetry: false },
    },
    {
      name: "a peer without a share for its only group is asked for one",
      probe: { ...good, groups: [HYBRID], shared: [] },
      want: { type: "established", group: HYBRID, didRetry: true },
    },
    suite(0x1301, "TLS_AES_128_GCM_SHA256"),
    suite(0x1302, "TLS_AES_256_GCM_SHA384"),
    suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    group("X25519", Group.x25519),
    group("P-256", Group.p256),
    group("P-384", Group.p384),
  ];
}

function brokenShares({ good }: Surroundings): readonly HandshakeCase[] {
  const share = (name: string, change: (share: Buffer) => Buffer): HandshakeCase => ({
    name: `${name} is refused`,
    probe: { ...good, tamper: { share: change } },
    want: { type: "refused", alerts: ["illegal_parameter", "decode_error"] },
  });
  const half = (name: string, secret: Tamper["secret"]): HandshakeCase => ({
    name: `keys made without the ${name} half of the secret are refused`,
    probe: { ...good, tamper: secret === undefined ? {} : { secret } },
    want: { type: "refused", alerts: ["bad_record_mac", "decrypt_error"] },
  });
  const classical = (group: Group, change: (share: Buffer) => Buffer): Probe => ({
    ...good,
    groups: [group],
    shared: [group],
    tamper: { share: change },
  });
  const refused: Want = { type: "refused", alerts: ["illegal_parameter", "decode_error"] };
  return [
    half("ML-KEM", ({ kem, curve }) => ({ kem: Buffer.alloc(kem.length), curve })),
    half("X25519", ({ kem, curve }) => ({ kem, curve: Buffer.alloc(curve.length) })),
    half("ML-KEM half before the X25519", ({ kem, curve }) => ({ kem: curve, curve: kem })),
    share("an encapsulation key with a coefficient of q or more (FIPS 203 §7.2)", (bytes) =>
      concat(Buffer.of(0xff, (bytes[1] ?? 0) | 0x0f), bytes.subarray(2)),
    ),
    share("a hybrid share with an all-zero X25519 part (RFC 7748 §6.1)", (bytes) =>
      concat(bytes.subarray(0, -32), Buffer.alloc(32)),
    ),
    share("a hybrid share that is one byte short", (bytes) => bytes.subarray(0, -1)),
    share("a hybrid share that is one byte long", (bytes) => concat(bytes, Buffer.of(0))),
    share("a hybrid share that is X25519 alone", (bytes) => bytes.subarray(-32)),
    share("an empty hybrid share", () => Buffer.alloc(0)),
    {
      name: "an all-zero X25519 share is refused",
      probe: classical(Group.x25519, () => Buffer.alloc(32)),
      want: refused,
    },
    {
      name: "a point that is not on P-256 is refused",
      probe: classical(Group.p256, (bytes) =>
        concat(bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)),
      ),
      want: refused,
    },
    {
      name: "a compressed P-256 point is refused",
      probe: classical(Group.p256, (bytes) => concat(Buffer.of(2), bytes.subarray(1, 33))),
      want: refused,
    },
  ];
}

/** A hello that breaks one rule. */
function badHello(good: Probe, name: string, alerts: readonly AlertName[], change: Change): HandshakeCase {
  return {
    name: `a hello with ${name} is refused`,
    probe: { ...good, tamper: { hello: change } },
    want: { type: "refused", alerts },
  };
}

type Change = (parts: HelloParts) => HelloParts;

function brokenHellos({ good }: Surroundings): readonly HandshakeCase[] {
  const hello = (name: string, alerts: readonly AlertName[], change: Change): HandshakeCase =>
    badHello(good, name, alerts, change);
  return [
    hello("TLS 1.2 only", ["protocol_version"], (parts) => ({
      ...parts,
      suites: [0xc02b, 0xc02f],
      extensions: without(parts.extensions, Ext.supportedVersions, Ext.keyShare),
    })),
    hello("TLS 1.2 among supported versions only", ["protocol_version"], (parts) =>
      replace(parts, Ext.supportedVersions, vec8(u16(TLS12))),
    ),
    hello("an unknown version only", ["protocol_version"], (parts) =>
      replace(parts, Ext.supportedVersions, vec8(u16(0x0a0a), u16(0x7f1c))),
    ),
    hello("suites that are all unknown", ["handshake_failure"], (parts) => ({
      ...parts,
      suites: [0x1304, 0x00ff],
    })),
    hello("groups that are all unknown", ["handshake_failure", "illegal_parameter"], (parts) =>
      replace(replace(parts, Ext.supportedGroups, vec16(u16(0x0100))), Ext.keyShare, vec16()),
    ),
    hello("no groups", ["missing_extension", "handshake_failure"], (parts) => ({
      ...parts,
      extensions: without(parts.extensions, Ext.supportedGroups, Ext.keyShare),
    })),
    hello("no key share extension", ["missing_extension"], (parts) => ({
      ...parts,
      extensions: without(parts.extensions, Ext.keyShare),
    })),
    hello("no signature algorithms", ["missing_extension", "handshake_failure"], (parts) => ({
      ...parts,
      extensions: without(parts.extensions, Ext.signatureAlgorithms),
    })),
    hello("signature algorithms that are all unknown", ["handshake_failure"], (parts) =>
      replace(parts, Ext.signatureAlgorithms, vec16(u16(0x0201))),
    ),
    hello("compression", ["illegal_parameter", "handshake_failure"], (parts) => ({
      ...parts,
      compression: u8(1),
    })),
    hello("two shares for one group", ["illegal_parameter"], (parts) => {
      const share =
        parts.extensions.find(([type]) => type === Ext.keyShare)?.[1].subarray(2) ?? Buffer.alloc(0);
      return replace(parts, Ext.keyShare, vec16(share, share));
    }),
    hello("the same extension twice", ["illegal_parameter", "decode_error"], (parts) => ({
      ...parts,
      extensions: [
        ...parts.extensions,
        ...parts.extensions.filter(([type]) => type === Ext.supportedVersions),
      ],
    })),
    hello("a key share that is cut short", ["decode_error"], (parts) =>
      replace(parts, Ext.keyShare, concat(u16(200), u16(HYBRID), u16(1216))),
    ),
  ];
}

function noHellos({ good }: Surroundings): readonly HandshakeCase[] {
  const dropped = (name: string, tamper: Tamper): HandshakeCase => ({
    name: `${name} is dropped`,
    probe: { ...good, tamper },
    want: { type: "dropped" },
  });
  return [
    dropped("half a hello and a close", {
      flight: (record) => record.subarray(0, 300),
      closeAfterFlight: true,
    }),
    dropped("a record longer than TLS allows", {
      flight: () => concat(u8(22), u16(0x0301), u16(0xffff), Buffer.alloc(70_000)),
    }),
    dropped("a hello longer than any real one", {
      flight: () => concat(...Array.from({ length: 40 }, (_, index) => hugeHello(index))),
    }),
    dropped("an alert before any hello", {
      flight: () => concat(u8(21), u16(0x0301), vec16(Buffer.of(2, 40))),
      closeAfterFlight: true,
    }),
    dropped("application data before any hello", {
      flight: () => concat(u8(23), u16(0x0303), vec16(Buffer.alloc(64))),
      closeAfterFlight: true,
    }),
    dropped("an empty handshake record", {
      flight: () => concat(u8(22), u16(0x0301), u16(0)),
      closeAfterFlight: true,
    }),
    dropped("a server's hello", {
      flight: (record) => concat(record.subarray(0, 5), u8(2), record.subarray(6)),
      closeAfterFlight: true,
    }),
    dropped("SSL 2", {
      flight: () => Buffer.from("802e0100020015000000100100800200800300800400800500800600400700c0", "hex"),
      closeAfterFlight: true,
    }),
  ];
}

function alpnCases(good: Probe): readonly HandshakeCase[] {
  return [
    {
      name: "a peer whose only ALPN is unknown is refused",
      probe: { ...good, alpn: ["h3", "smtp"] },
      want: { type: "refused", alerts: ["no_application_protocol"] },
    },
    {
      name: "a peer without ALPN on the proxies' own port is dropped",
      probe: { ...good, alpn: [] },
      want: { type: "dropped" },
    },
  ];
}

function refused(name: string, probe: Probe, alerts: readonly AlertName[]): HandshakeCase {
  return { name: `${name} is refused`, probe, want: { type: "refused", alerts } };
}

function brokenProofs({ good, expired, stranger, isMutualRequired }: Surroundings): readonly HandshakeCase[] {
  const tamper = (change: Tamper): Probe => ({ ...good, tamper: change });
  return [
    refused("a Finished with one bit flipped", tamper({ finished: flipped }), ["decrypt_error"]),
    refused("a Finished that is cut short", tamper({ finished: (data) => data.subarray(0, -1) }), [
      "decode_error",
      "decrypt_error",
    ]),
    refused("a CertificateVerify with one bit flipped", tamper({ certificateVerify: flipped }), [
      "decrypt_error",
      "bad_certificate",
    ]),
    refused("an empty CertificateVerify", tamper({ certificateVerify: () => Buffer.alloc(0) }), [
      "decrypt_error",
      "decode_error",
      "bad_certificate",
    ]),
    refused("a certificate that has ended", { ...good, credentials: expired }, CERTIFICATE),
    refused("a certificate of an unknown authority", { ...good, credentials: stranger }, CERTIFICATE),
    refused(
      "a key that is not the certificate's",
      {
        ...good,
        credentials:
          good.credentials === undefined
            ? undefined
            : { chain: good.credentials.chain, privateKeyPem: stranger.privateKeyPem },
      },
      ["decrypt_error", "bad_certificate"],
    ),
    ...(isMutualRequired
      ? [
          {
            name: "a peer without a certificate is dropped",
            probe: { ...good, credentials: undefined },
            want: { type: "dropped" },
          } as const,
        ]
      : []),
    refused(
      "application data instead of a Finished",
      tamper({ insteadOfFinished: (send) => send.seal(23, Buffer.from("early")) }),
      ["unexpected_message"],
    ),
    refused(
      "a second hello instead of a Finished",
      tamper({ insteadOfFinished: (send) => send.seal(22, Buffer.from([1, 0, 0, 4, 3, 3, 0, 0])) }),
      ["unexpected_message", "decode_error"],
    ),
    refused(
      "a record that no key made",
      tamper({ insteadOfFinished: () => concat(u8(23), u16(0x0303), vec16(Buffer.alloc(80, 7))) }),
      ["bad_record_mac"],
    ),
  ];
}

/** Whether the outcome is what a case wants. */
export function satisfies(outcome: Outcome, want: Want): boolean {
  switch (want.type) {
    case "established":
      return (
        outcome.type === "established" &&
        outcome.group === want.group &&
        (want.suite === undefined || outcome.suite === want.suite) &&
        (want.didRetry === undefined || outcome.didRetry === want.didRetry)
      );
    case "refused":
      return outcome.type === "alert" && want.alerts.some((name) => Alert[name] === outcome.description);
    case "dropped":
      return outcome.type === "alert" || outcome.type === "closed" || outcome.type === "reset";
  }
}

/** An outcome in words. */
export function describe(outcome: Outcome): string {
  switch (outcome.type) {
    case "established": {
      const retried = outcome.didRetry ? " after a retry" : "";
      return `established, group 0x${outcome.group.toString(16)}, ${outcome.suite}${retried}`;
    }
    case "alert": {
      const [name = "unknown"] =
        Object.entries(Alert).find(([, value]) => value === outcome.description) ?? [];
      return `alert ${outcome.description} ${name}`;
    }
    case "misbehaved":
      return `the server sent ${outcome.detail}`;
    case "closed":
    case "reset":
    case "timed_out":
      return outcome.type.replaceAll("_", " ");
  }
}

function flipped(bytes: Buffer): Buffer {
  return concat(bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1));
}

function without(extensions: readonly Extension[], ...types: readonly number[]): readonly Extension[] {
  return extensions.filter(([type]) => !types.includes(type));
}

function replace(parts: HelloParts, type: number, body: Buffer): HelloParts {
  return { ...parts, extensions: parts.extensions.map((one) => (one[0] === type ? [type, body] : one)) };
}

/** One of many records that together claim to be a hello of 16 MiB. */
function hugeHello(index: number): Buffer {
  const start = index === 0 ? Buffer.of(1, 0xff, 0xff, 0xff) : Buffer.alloc(0);
  return concat(u8(22), u16(0x0301), vec16(start, Buffer.alloc(16_000)));
}

/** The offer of a peer that does everything right. */
export const OFFER = {
  groups: [HYBRID, Group.x25519, Group.p256, Group.p384],
  shared: [HYBRID, Group.x25519],
  suites: [0x1301, 0x1302, 0x1303],
  versions: [TLS13],
} as const;
