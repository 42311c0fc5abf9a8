// `npm run build`: write one script, one style sheet, the HTML and the icon to dist/, and print their sizes.
import { build } from 'esbuild';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

const OUT = 'dist';
const COPIED = ['index.html', 'icon.svg'];
const BROWSERS = ['chrome116', 'firefox124', 'safari17.4'];

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

/** Write a gzip file beside the file; the gateway sends it to browsers that accept gzip. */
async function compress(name) {
  const content = await readFile(`${OUT}/${name}`);
  const small = gzipSync(content, { level: 9 });
  await writeFile(`${OUT}/${name}.gz`, small);
  console.log(`${name}: ${kilobytes(content.length)}, ${kilobytes(small.length)} compressed`);
}

await rm(OUT, { recursive: true, force: true });
await build({
  entryPoints: { page: 'src/main.js', style: 'style.css' },
  outdir: OUT,
  bundle: true,
  minify: true,
  format: 'esm',
  target: BROWSERS,
  legalComments: 'linked',
});
await Promise.all(COPIED.map((name) => cp(name, `${OUT}/${name}`)));
for (const name of ['page.js', 'style.css', ...COPIED]) await compress(name);
