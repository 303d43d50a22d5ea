// Makes tests/plugins/data/jose.json: a key and a token for each algorithm, by the npm package jose, so that the plugin is
// tried with what others write. Not part of a test run:
//   npm install jose && node make_tokens.mjs >../data/jose.json
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { randomBytes } from 'node:crypto';

const algorithms = ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
                    'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const claims = { sub: 'svc-1', scope: 'orders.read orders.write' };
const out = { made_by: 'jose', keys: [], tokens: {} };

for (const alg of algorithms) {
  let signer, jwk;
  if (alg.startsWith('HS')) {
    signer = randomBytes(Number(alg.slice(2)) / 8);
    jwk = { kty: 'oct', k: signer.toString('base64url') };
  } else {
    const pair = await generateKeyPair(alg, { extractable: true });
    signer = pair.privateKey;
    jwk = await exportJWK(pair.publicKey);
  }
  out.keys.push({ ...jwk, alg, kid: `jose-${alg}`, use: 'sig' });
  out.tokens[alg] = await new SignJWT(claims)
    .setProtectedHeader({ alg, kid: `jose-${alg}`, typ: 'at+jwt' })
    .setIssuer('https://idp.example.com/').setAudience(['orders-api', 'other'])
    .setIssuedAt(1800000000).setNotBefore(1799999940).setExpirationTime(1800000060)
    .sign(signer);
}
console.log(JSON.stringify(out, null, 1));
