package Test::Gray::Acting;

# Copyright (C) the nginx gray module authors
#
# A backend of HTTP/1.1 for Test::Gray's daemon(), that does what a header of
# the request says:
#
#     $t->daemon(v2 => acting('v2'));
#     $t->get('/', 'X-Do' => 'v2 500');
#
# A status, or nothing, is answered by the text "NAME METHOD LENGTH COUNT": the
# length of the request's body, and which request of its connection it is.
# Lines of X-Add are added to the header; before a status "hints_" sends early
# hints first.  The others are in the table below;
# in some of them the backend waits until nginx closes, which acted() tells.

use strict;
use warnings;

use Exporter ();
use Socket qw(SOL_SOCKET SO_LINGER);

use Test::Gray::Backend ();
use Test::Gray::Process ();

our @ISA = ('Exporter');
our @EXPORT = qw(acting acted);

my $ok      = "HTTP/1.1 200 OK\r\n";
my $chunked = "${ok}Transfer-Encoding: chunked\r\n\r\n";
my $events  = "${ok}Content-Type: text/event-stream; charset=utf-8\r\n"
              . "Transfer-Encoding: chunked\r\n\r\n"
              . "9\r\ndata: 1\n\n\r\n";
my $long    = "${ok}Content-Length: 100\r\n\r\n";

my %acts = (
    # before the header is complete

    silent  => sub { await(@_) },
    close   => sub { },
    reset   => sub { abort($_[0]) },
    begun   => sub { text($_[0], "${ok}Content-Le"); await(@_) },
    part    => sub { text($_[0], "${ok}Content-Le") },
    invalid => sub { text($_[0], "${ok}a\0b: c\r\n\r\n"); await(@_) },
    big     => sub { text($_[0], "${ok}X: " . 'x' x 40_000) },

    # the header comes late: after half a second, or once a file is there

    late => sub { select undef, undef, undef, 0.5;
                  text($_[0], "${ok}Content-Length: 4\r\n\r\nlate") },
    held => sub { Test::Gray::Process::wait_until(sub { -e 'let_go' });
                  text($_[0], "HTTP/1.1 500 Error\r\n"
                              . "Content-Length: 4\r\n\r\nheld") },

    # within the body: of a length, or chunked

    short        => sub { text($_[0], "${long}v2 short") },
    short_reset  => sub { text($_[0], "${long}v2 short"); abort($_[0]) },
    stall        => sub { text($_[0], "${long}v2 stall"); await(@_) },
    cut          => sub { text($_[0], "${chunked}6\r\nv2 cut\r\n") },
    cut_reset    => sub { text($_[0], "${chunked}6\r\nv2 cut\r\n");
                          abort($_[0]) },
    cut_stall    => sub { text($_[0], "${chunked}6\r\nv2 cut\r\n");
                          await(@_) },
    broken       => sub { text($_[0], "${chunked}6\r\nv2 cut\r\nxyz\r\n");
                          await(@_) },

    # events, that do not end, or do

    events     => sub { text($_[0], $events); await(@_) },
    events_end => sub { text($_[0], "${events}0\r\n\r\n") },

    # more than buffers hold, and more than anybody takes

    large => sub { text($_[0], "${ok}Cache-Control: max-age=3600\r\n"
                               . "Content-Length: 10000000\r\n\r\n"
                               . 'x' x 10_000_000) },

    flood => sub { text($_[0], "${ok}Content-Length: 1000000000\r\n\r\n");
                   1 while eval { text($_[0], 'x' x 65_536); 1 } },

    # the end of the connection is that of the body

    end       => sub { text($_[0], "HTTP/1.0 200 OK\r\n\r\nv2 end") },
    end_reset => sub { text($_[0], "HTTP/1.0 200 OK\r\n\r\nv2 end");
                       abort($_[0]) },
);


sub acting {
    my ($name) = @_;

    return Test::Gray::Backend::serve(sub {
        my ($socket) = @_;

        my $count = 0;

        while (defined(my $head = head($socket))) {
            my ($method) = $head =~ /^(\S+)/;
            my ($length) = $head =~ /^Content-Length: (\d+)/mi;
            my ($do) = $head =~ /^X-Do: $name (\S+)/mi;

            $do = '' unless defined $do;
            $count++;

            Test::Gray::Backend::read_exactly($socket, $length) if $length;

            return if $do eq 'once' && $count > 1;
            return $acts{$do}->($socket, "$name $do") if $acts{$do};

            my $text = "$name $method " . ($length || 0) . " $count";
            my ($hints, $status) = $do =~ /^(hints_)?(\d+)$/ ? ($1, $2)
                                                           : (undef, 200);
            my @lines = $head =~ /^X-Add: (.*)\r$/mig;

            push @lines, 'Content-Length: ' . length $text
                unless $status =~ /^[23]04$/;

            text($socket, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                if $hints;

            text($socket, join("\r\n", "HTTP/1.1 $status Status", @lines)
                          . "\r\n\r\n"
                          . ($method eq 'HEAD' || $status =~ /^[23]04$/
                             ? '' : $text));
        }
    });
}


# nothing where the connection was closed before

sub head {
    my ($socket) = @_;

    my $head = '';

    until ($head =~ /\r\n\r\n\z/) {
        my $byte = Test::Gray::Backend::read_exactly($socket, 1);
        return unless defined $byte;
        $head .= $byte;
    }

    return $head;
}


sub text { return Test::Gray::Backend::write_all(@_) }


# closes with a reset

sub abort { setsockopt $_[0], SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) }


# until the other side closes; the file is in the test's directory

sub await {
    my ($socket, $what) = @_;

    open my $fh, '>>', 'acted' or die "acted: $!\n";
    syswrite $fh, "$what\n";
    close $fh;

    1 while sysread $socket, my $buffer, 4096;

    return;
}


# waits until a backend waits like that, for the first time after the last one
# that was waited for

my %seen;

sub acted {
    my ($t, $what) = @_;

    $seen{$t} ||= 0;

    Test::Gray::Process::wait_until(sub {
        my $text = $t->read_file('acted');

        pos($text) = $seen{$t};
        return 0 unless $text =~ /^\Q$what\E\n/mg;

        $seen{$t} = pos($text);
        return 1;
    })
    or die "no backend has come to \"$what\"\n";

    return;
}


1;
