#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What may lie where a database was: a file that a worker may not read, which
# is tried again; links; and what is no file at all, which does not hold a
# worker up.  And that reading again and again takes no more memory.

use strict;
use warnings;

use FindBin;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM sockaddr_un);
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::MMDB;
use Test::Gray::Process;

my $t = Test::Gray->new;
my $dir = $t->dir;

chmod 0755, $dir;

for my $version ('a' .. 'c') {
    write_mmdb("$dir/$version", {}, [ '127.0.0.0/8', { name => $version } ]);
}

put('a');

$t->config(<<'END')->start;
worker_processes 1;

http {
    gray_zone   gray 1m;
    gray_geoip  used;

    gray_release app {
        zone     gray;
        variant  none;
        variant  a;
        variant  b;
        variant  c;
        match    a geo.name = a;
        match    b geo.name = b;
        match    c geo.name = c;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/  { gray_admin; }
        location /       { return 200 $gray_app; }
    }
}
END

my ($worker) = $t->workers;

sub put {
    my ($file, $code) = @_;

    link "$dir/$file", "$dir/next" or die "link: $!\n" unless $code;
    $code->("$dir/next") if $code;
    rename "$dir/next", "$dir/used" or die "rename: $!\n";
}

sub says {
    my ($version) = @_;
    return wait_until(sub { $t->get('/')->{body} eq $version });
}

sub not_used {
    my $status = $t->api('GET', '/gray/status')->{json}{geoip}[0];
    return defined $status->{not_used} ? $status->{not_used} : '';
}

sub said { my ($what) = @_; return scalar(() = $t->log =~ /$what/g); }

sub refused {
    my ($why, $name, $before) = @_;

    ok(wait_until(sub { not_used() eq $why }), "$name: refused")
        or diag(not_used());
    is($t->get("/")->{body}, $before, "$name: what was read before goes on");
}

ok(says('a'), 'the first one');


# the master may read it, the worker may not

SKIP: {
    skip 'needs root', 5 if $>;

    put(undef, sub { POSIX::_exit(1) if system 'cp', "$dir/b", $_[0];
                     chmod 0600, $_[0] });

    refused('open() failed (13: Permission denied)', 'no permission', 'a');

    chmod 0644, "$dir/used";
    ok(says('b'), 'is tried again');
    is(not_used(), '', 'and used');
    is(said('cannot be used'), 1, 'one line in the log');
}


# links

put(undef, sub { symlink 'c', $_[0] });
ok(says('c'), 'a symbolic link');

put(undef, sub { symlink 'a', $_[0] });
ok(says('a'), 'to another file');


# what is no file: a FIFO that nobody writes to would block who opens it

put(undef, sub { POSIX::mkfifo($_[0], 0666) });
refused('is not a file', 'a FIFO', 'a');

put(undef, sub {
    socket my $socket, AF_UNIX, SOCK_STREAM, 0;
    bind $socket, sockaddr_un($_[0]) or die "bind: $!\n";
});

refused('open() failed (6: No such device or address)', 'a socket', 'a');

unlink "$dir/used";
put(undef, sub { mkdir $_[0] });
refused('is not a file', 'a directory', 'a');

rmdir "$dir/used";
put('b');
ok(says('b'), 'a file again');


# a tree of 65,536 networks, each with a record of its own

sub large {
    my ($file, $version) = @_;

    my ($tree, $data) = ('', '');
    my $nodes = 65535;
    my @offset;

    my $text = sub { return chr(0x40 | length $_[0]) . $_[0] };

    for my $i (0 .. $nodes) {
        push @offset, length $data;
        $data .= "\xe2" . $text->('name') . $text->($version)
                 . $text->('id') . $text->("of a network, $i");
    }

    for my $i (0 .. $nodes - 1) {
        $tree .= pack 'NN', map {
            $_ < $nodes ? $_ : $nodes + 16 + $offset[$_ - $nodes]
        } 2 * $i + 1, 2 * $i + 2;
    }

    my $meta = "\xe9" . $text->('node_count') . "\xc4" . pack('N', $nodes)
               . $text->('record_size') . "\xa1\x20"
               . $text->('ip_version') . "\xa1\x04"
               . $text->('database_type') . $text->('Large')
               . $text->('languages') . "\x00\x04"
               . $text->('binary_format_major_version') . "\xa1\x02"
               . $text->('binary_format_minor_version') . "\xa0"
               . $text->('build_epoch') . "\x01\x02\x05"
               . $text->('description') . "\xe0";

    $t->write_file($file, $tree . "\0" x 16 . $data
                          . "\xab\xcd\xefMaxMind.com" . $meta);
}

large("large-$_", $_) for 'a', 'c';

# the master's own first reading makes malloc() keep what is freed later

put('large-a');
ok($t->reload(gone => 1), 'reload');
ok(says('a'), 'a large one');

($worker) = $t->workers;

sub memory {
    my ($kilobytes) = slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m;
    return $kilobytes;
}

my $first;
my $before = said('was read again');

for my $round (1 .. 14) {
    put($round % 2 ? 'large-c' : 'large-a');
    wait_until(sub { said('was read again') == $before + $round }) or last;
    $first = memory() if $round == 2;
}

is(said('was read again'), $before + 14, 'replaced 14 times');

SKIP: {
    skip 'memory is that of a sanitizer', 1
        if $ENV{TEST_SANITIZER_LOG} || $ENV{TEST_NGINX_WRAPPER};

    cmp_ok(memory(), '<', $first + 1024, 'takes no more memory')
        or diag("$first KB, then " . memory());
}

$t->done;
