// Builds the web files into the folder given as the first argument and compresses them beside themselves.
// Called by build.rs; `npm run build` calls it too, with ./dist.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "vite";

const outDir = resolve(process.argv[2] ?? "dist");
rmSync(outDir, { recursive: true, force: true });
await build({ logLevel: "warn", build: { outDir, emptyOutDir: true } });

const compressible = /\.(js|css|svg|html|json|txt|md)$/;
for (const entry of readdirSync(outDir, { recursive: true })) {
	const file = join(outDir, String(entry));
	// index.html is filled in per request, so it is never sent pre-compressed.
	if (!statSync(file).isFile() || !compressible.test(file) || file.endsWith("index.html")) continue;
	const bytes = readFileSync(file);
	if (bytes.length < 512) continue;
	writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
	writeFileSync(
		`${file}.br`,
		brotliCompressSync(bytes, {
			params: {
				[constants.BROTLI_PARAM_QUALITY]: 11,
				[constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
			},
		}),
	);
}
