/** TLS without certificates, for ends that only need to be TLS: this room has nothing that could issue one. */
export const ANONYMOUS = {
  ciphers: "AECDH-AES256-SHA:@SECLEVEL=0",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
} as const;
