package Bench::Client;

# Copyright (C) the nginx gray module authors
#
#     my $client = Bench::Client->new($socket);
#     my %count = $client->run(1000);     # bodies, and how often each came
#
# A client with one connection, which sends a request when the answer to the
# one before is there.  The users come round in a circle.

use strict;
use warnings;

use Exporter ();
use Socket ();

our @ISA = ('Exporter');
our @EXPORT = qw(circle request users);


sub circle { return 1000 }


sub users {
    return map { sprintf '%08x%08x', $_ * 40503, $_ } 1 .. circle();
}


# a path, or a method and a path

sub request {
    my ($uri, $user) = @_;

    $uri = "GET $uri" if $uri =~ m{^/};

    return "$uri HTTP/1.1\r\n"
           . "Host: localhost\r\n"
           . "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
           . "Accept: */*\r\n"
           . (defined $user ? "Cookie: uid=$user\r\n" : '')
           . "\r\n";
}


sub new {
    my ($class, $socket) = @_;

    die "cannot connect: $@\n" unless $socket;

    setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;

    return bless { socket => $socket }, $class;
}


sub run {
    my ($self, $n, $uri) = @_;

    my @requests = map { request($uri || '/', $_) } users();
    my %count;

    for my $i (0 .. $n - 1) {
        $count{ $self->ask($requests[$i % @requests]) }++;
    }

    return %count;
}


# the body of the answer

sub ask {
    my ($self, $request) = @_;

    local $SIG{ALRM} = sub { die "no answer within 60 seconds\n" };
    alarm(60);

    syswrite($self->{socket}, $request) == length $request
        or die "cannot send: $!\n";

    my $answer = '';
    my $body;

    until (defined $body) {
        sysread($self->{socket}, $answer, 65536, length $answer)
            or die "the connection was closed after:\n$answer\n";

        next unless $answer =~ /^(.*?\r\n)\r\n(.*)\z/s;

        my ($head, $rest) = ($1, $2);

        $head =~ m{^HTTP/1\.1 200 .*^Content-Length: (\d+)\r$}msi
            or die "unexpected answer:\n$answer\n";

        $body = $rest if length $rest >= $1;
    }

    alarm(0);

    return $body;
}


1;
