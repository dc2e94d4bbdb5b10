/** Ports on which the application listens. */
export const AppPort = {
  /** HTTP/1; nothing is declared. */
  http: 8080,
  /** HTTP/2 and gRPC. */
  h2c: 8081,
  /** The server speaks first; nothing is declared, so the protocol is to be found out. */
  greeter: 8082,
  /** The same, declared opaque. */
  opaque: 8083,
  /** HTTP/1 again, on a port to which policies are attached. */
  guarded: 8084,
  /** HTTP/2 and gRPC again, likewise. */
  guardedH2c: 8085,
} as const;

/** Ports of the host outside of the mesh. */
export const OutsidePort = { http: 80, tls: 443, grpc: 50_051, raw: 5_432, both: 8_443 } as const;
