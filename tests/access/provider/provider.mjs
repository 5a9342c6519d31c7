// A real OpenID provider, panva's oidc-provider: hands out access tokens for the grant `client_credentials`.
import Provider from "oidc-provider";

const { port, keys, clients, seconds } = JSON.parse(process.argv[2]);
const SCOPE = "read submit admin other";

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: clients.map((id) => ({
    client_id: id,
    client_secret: `secret of ${id}`,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
    id_token_signed_response_alg: keys[0].alg,
  })),
  scopes: SCOPE.split(" "),
  jwks: { keys },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: SCOPE,
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: seconds,
        jwt: { sign: { alg: keys[0].alg } },
      }),
    },
  },
});

provider.use(async (context, next) => {
  console.log(`${context.method} ${context.path}`);
  await next();
});
provider.listen(port, "127.0.0.1", () => console.log("ready"));
