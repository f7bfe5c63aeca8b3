package Test::Gray::TLS;

# Copyright (C) the nginx gray module authors
#
#     use Test::Gray::TLS;         skips the test where there is no openssl
#
#     authority($t);               ca.crt in the test's directory
#     certificate($t, $name);      $name.crt and $name.key, of that authority

use strict;
use warnings;

use Exporter ();
use Test::More;

use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(authority certificate);


sub import {
    my ($class) = @_;

    plan(skip_all => 'no openssl') if (capture('openssl', 'version'))[0] != 0;

    return $class->export_to_level(1);
}


sub authority {
    my ($t) = @_;

    openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca),
            '-keyout', $t->dir . '/ca.key', '-out', $t->dir . '/ca.crt');
    return;
}


sub certificate {
    my ($t, $name) = @_;

    my $file = $t->dir . "/$name";

    $t->write_file("$name.ext", "subjectAltName=DNS:$name\n");

    openssl(qw(req -newkey rsa:2048 -nodes -subj /CN=leaf),
            '-keyout', "$file.key", '-out', "$file.csr");
    openssl(qw(x509 -req -days 2 -CAcreateserial), '-in', "$file.csr",
            '-CA', $t->dir . '/ca.crt', '-CAkey', $t->dir . '/ca.key',
            '-extfile', "$file.ext", '-out', "$file.crt");
    return;
}


sub openssl {
    my (@arguments) = @_;

    my ($status, undef, $err) = capture('openssl', @arguments);

    die "openssl @arguments: $err\n" if $status != 0;
    return;
}


1;
