#!/bin/sh
# Makes the secrets of this deployment, each in a file of its own under secrets/, and .env, which says as whom Naru's containers
# run. What is there already stays as it is: it can be run again, and never replaces a password that an engine knows.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# name: keeps what is there; else takes what is piped in.
keep() {
    if [ -e "secrets/$1" ]; then
        cat >/dev/null
    else
        cat >"secrets/$1.new"
        mv "secrets/$1.new" "secrets/$1"
    fi
}

for password in postgres_password naru_password naru_ingress_password rabbitmq_password redis_password; do
    random 24 | keep "$password"
done
read_secret() { cat "secrets/$1"; }

# Beyond this machine say how the server's certificate is verified instead: see README.md.
printf 'postgres://naru:%s@postgres:5432/naru?sslmode=disable' "$(read_secret naru_password)" | keep ledger_url
printf 'postgres://naru_ingress:%s@postgres:5432/naru?sslmode=disable' "$(read_secret naru_ingress_password)" | keep reads_url
printf 'amqp://naru:%s@rabbitmq:5672/%%2f' "$(read_secret rabbitmq_password)" | keep rabbitmq_url
printf 'redis://:%s@redis:6379/0' "$(read_secret redis_password)" | keep redis_url
# What the servers read of the same passwords.
printf 'default_pass = %s\n' "$(read_secret rabbitmq_password)" | keep rabbitmq_secret
printf 'requirepass %s\n' "$(read_secret redis_password)" | keep redis_secret

# As `naru keys make` writes it.
{
    printf '# The secrets of this deployment. Whoever reads them can forge messages.\n'
    printf 'master = "%s"\nids = "%s"\n\n' "$(random 32)" "$(random 32)"
    printf '[[envelope]]\nid = "%s"\nsecret = "%s"\n' "$(random 4)" "$(random 32)"
} | keep keys.toml

# A container's engine gives a file to a container as it is, so its owner and mode count inside. The directory is closed to
# others of this machine; in it, the servers' users may read their own, and keys.toml only Naru's user.
chmod 700 secrets
find secrets -type f ! -name keys.toml -exec chmod 644 {} +
chmod 600 secrets/keys.toml
user=$(id -u):$(id -g)
if [ "$(id -u)" = 0 ]; then
    # Naru does not run as root.
    user=65532:65532
    chown "$user" secrets/keys.toml
fi
[ -e .env ] || printf '# Whose secrets/keys.toml is.\nNARU_USER=%s\n' "$user" >.env
