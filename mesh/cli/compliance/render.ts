/** A report in the form that was asked for. */
import type { Report } from "@hauberk/compliance/report/report.ts";

export const FORMATS = ["table", "html", "pdf", "json", "oscal"] as const;
export type Format = (typeof FORMATS)[number];

/** The bytes of a report. @throws if the form needs a program that is not there. */
export async function rendered(report: Report, format: Format): Promise<Uint8Array> {
  switch (format) {
    case "table": {
      const { describeReport } = await import("@hauberk/compliance/report/text.ts");
      return Buffer.from(`${describeReport(report)}\n`);
    }
    case "json":
      return Buffer.from(`${JSON.stringify(report, undefined, 2)}\n`);
    case "oscal": {
      const { oscalOf } = await import("@hauberk/compliance/report/oscal.ts");
      return Buffer.from(oscalOf(report));
    }
    case "html": {
      const { htmlOf } = await import("@hauberk/compliance/html/page.ts");
      return Buffer.from(htmlOf(report));
    }
    case "pdf": {
      const [{ htmlOf }, { printed }] = await Promise.all([
        import("@hauberk/compliance/html/page.ts"),
        import("./pdf.ts"),
      ]);
      return printed(htmlOf(report));
    }
  }
}
